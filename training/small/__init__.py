"""The embedded models: from material to export, as `python -m training.small`."""
