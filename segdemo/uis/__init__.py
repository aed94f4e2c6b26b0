"""Unsupervised instance segmentation: base methods on features of a vision transformer.

One module a method; `features` reads the patch features that they share. Their masks are what
DiffEGG's edges improve (DiffEGG, section 4.4).
"""
