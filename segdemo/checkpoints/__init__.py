"""Weights: which there are (`registry`), where they are (`locate`), how to open them (`loading`).

Only `loading` needs torch. A checkpoint is a folder: `segdemo.json` (the model card, `card`),
`unet/`, `vae/`, `scheduler/` and `null_text.safetensors`, for DiffEGG also `prior/`, `adapter/` and
`edge_generator/`. What a folder lacks comes from the card's `base`.
"""
