"""DiffEGG, stage 2: training an edge generator, as `python -m training.diffegg`."""
