"""DiffDIS: training on images with masks, as `python -m training.diffdis`."""
