"""Unsupervised instance segmentation: base methods on features of a vision transformer.

One module a method, all listed in `methods`; `features` reads the patch features that they share,
`patch_masks` brings their masks to the image's size. Their masks are what DiffEGG's edges improve
(DiffEGG, section 4.4).
"""
