"""The notebook of the docs runs from top to bottom, as a reader runs it."""

import re
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parent.parent / "docs" / "tour.ipynb"


def test_the_notebook_runs_and_rip_tells_the_hens_apart() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)  # committed without results
    root = str(NOTEBOOK.parents[1])  # where segdemo can be imported without being installed
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": root}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    printed = "".join(output.text for output in outputs if output.output_type == "stream")
    assert "3 masks became" in printed and "PeakKL chooses" in printed
    before, after = re.findall(r"IoU of each hen's best mask \[(.*)\]", printed)
    assert min(map(float, before.split())) < 0.6 and min(map(float, after.split())) > 0.9
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) >= 5
