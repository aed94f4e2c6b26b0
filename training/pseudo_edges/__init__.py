"""DiffEGG, stage 1: pseudo-edges from self-attention, as `python -m training.pseudo_edges`."""
