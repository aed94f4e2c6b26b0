"""The verbs of `python -m segdemo`, one module each."""
