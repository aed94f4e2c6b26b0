"""segdemo: masks, edges and instance repair from diffusion models."""
