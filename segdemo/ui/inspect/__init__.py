"""The tab "Inspect": the attention of a diffusion model step by step, and edges from it."""
