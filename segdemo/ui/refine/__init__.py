"""The tab "Refine": instance masks in, split and merged along edges, finished by hand."""
