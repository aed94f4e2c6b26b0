"""DiffEGG: instance edges extracted from the self-attention of a diffusion model.

"Diffusion-Driven Edge Generation as a Pixel-Annotation-Free Alternative for Instance Annotation",
arXiv 2503.07982, published as TRACE, with IEP for PeakKL (`peak_kl`), ABDiv for EdgeKL (`edge_kl`),
One-Step Self-Distillation for stage 2 (`edge_generator`, trained by `training.diffegg`) and
Boundary-Guided Propagation for the random walk of RIP (`segdemo.rip`). There is no official code;
`settings.py` names each choice the paper leaves open.
"""
