"""Edits of label maps that the browser and the server must carry out alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FIXTURE = Path(__file__).parents[2] / "fixtures" / "label_map_edits.json"
EDIT_CASES: dict[str, list[dict[str, Any]]] = json.loads(FIXTURE.read_text())
