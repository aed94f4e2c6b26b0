"""Editing of label maps: what an annotator does by hand, without a browser.

A label map is an (H, W) uint16 array, 0 = background, every other number one instance. Strokes,
splits and shapes return a new map; an `EditedImage` keeps one on disk through every edit, and a
`Session` keeps the images of one annotator. numpy, SciPy and pycocotools only.
"""
