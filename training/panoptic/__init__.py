"""Weakly supervised panoptic segmentation: Mask2Former on pseudo-panoptic masks (section 5.3)."""
