"""DiffDIS: one denoising step of a Stable Diffusion U-Net turns a photograph into a mask.

"High-Precision Dichotomous Image Segmentation via Probing Diffusion Capacity", ICLR 2025.
"""
