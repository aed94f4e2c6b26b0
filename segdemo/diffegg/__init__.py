"""DiffEGG: the self-attention of a diffusion model, and the instance edges that hide in it.

"Diffusion-Driven Edge Generation as a Pixel-Annotation-Free Alternative for Instance Annotation",
arXiv 2503.07982. There is no official code; `settings.py` names each choice the paper leaves open.
"""
