"""MaskCut: masks of up to a few objects by repeated normalised cuts over a picture's patches.

From the description in "Cut and Learn for Unsupervised Object Detection and Instance Segmentation"
(CutLER, arXiv 2301.11320), section 3.1. It is the baseline whose masks DiffEGG's edges improve.
"""
