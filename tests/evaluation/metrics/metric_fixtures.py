"""Where pictures with expected figures are: in the repository, or where the environment says."""

from __future__ import annotations

import os
from pathlib import Path

METRIC_FIXTURES = Path(
    os.environ.get("SEGDEMO_METRIC_FIXTURES") or Path(__file__).parents[2] / "fixtures" / "metrics"
)
"""A folder with `dis/`, `coco/`, `panoptic/` and `voc/`."""
