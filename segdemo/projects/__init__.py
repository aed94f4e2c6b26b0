"""Projects: a folder of images on disk, with masks beside them and the work of its annotators.

Images are never touched. Results are saved in `annotations/` at once; a SQLite file in `.segdemo/`
knows states, leases and who did what. Whoever deletes it loses no mask.
"""
