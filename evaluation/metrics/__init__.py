"""The metrics: of one image, and of many from what was kept of each."""
