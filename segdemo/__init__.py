"""segdemo: masks, edges and instance repair from diffusion models."""

__version__ = "0.1.0"
