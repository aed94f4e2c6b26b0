"""What programs have prepared for an image, until an annotator opens it: edges, masks, proposals.

Nothing of it is a result: it lies apart, and becomes an edit only before an annotator's eyes.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from segdemo.annotations import InstanceRuns, Instances
from segdemo.annotations.notes import MALFORMED
from segdemo.annotations.stored_runs import from_json, to_json
from segdemo.datatypes import FloatMap, InputError
from segdemo.editing.proposals import Proposal, Proposals
from segdemo.files import atomic_write, write_json, write_png

EDGES, EDGE_WORDS, MASKS, PROPOSALS = "edges.png", "edges.json", "masks.json", "proposals.npz"


@dataclass(frozen=True, eq=False)
class Edges:
    """scores: (H, W) in [0, 1] in steps of 1/255. source, label: where they are from."""

    scores: FloatMap
    source: str
    label: str


class Prepared:
    """The prepared things of one image, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        """Read and write below a folder, which is made when needed."""
        self._folder = folder

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return self._folder.is_dir()

    def set_edges(self, edges: Edges) -> None:
        """Keep an edge map; raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        write_png(np.rint(edges.scores * 255).astype(np.uint8), self._folder / EDGES)
        write_json([edges.source, edges.label], self._folder / EDGE_WORDS)

    def edges(self) -> Edges | None:
        """Return the edge map; None for none, or a damaged one."""
        with suppress(OSError, *MALFORMED):
            source, label = json.loads((self._folder / EDGE_WORDS).read_text())
            with Image.open(self._folder / EDGES, formats=("PNG",)) as image:
                grey = np.asarray(image.convert("L"))
            return Edges(grey.astype(np.float32) / np.float32(255), str(source), str(label))
        return None

    def set_masks(self, masks: Instances) -> None:
        """Keep first masks; raises OSError."""
        write_json(to_json(masks), self._folder / MASKS)

    def masks(self) -> InstanceRuns | None:
        """Return the masks; None for none, or damaged ones."""
        with suppress(OSError, ValueError):
            return from_json(json.loads((self._folder / MASKS).read_text()))
        return None

    def set_proposals(self, proposals: Proposals) -> None:
        """Keep RIP's proposals; raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        changes = json.dumps([asdict(change) for change in proposals.changes])
        with atomic_write(self._folder / PROPOSALS) as stream:
            np.savez_compressed(
                stream,
                preview=proposals.preview,
                labels=proposals.labels,
                changes=np.frombuffer(changes.encode(), np.uint8),
            )

    def proposals(self) -> Proposals | None:
        """Return the proposals; None for none, or damaged ones."""

        def read() -> Proposals:
            with np.load(self._folder / PROPOSALS, allow_pickle=False) as kept:
                listed = json.loads(kept["changes"].tobytes())
                return Proposals(tuple(map(_proposal, listed)), kept["preview"], kept["labels"])

        return _or_none(read)

    def clear(self) -> None:
        """Remove everything: it is the annotator's now."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _proposal(told: dict[str, Any]) -> Proposal:
    return Proposal(
        told["kind"],
        tuple(map(int, told["inputs"])),
        tuple(map(int, told["outputs"])),
        told["iou"],
        int(told["pixels"]),
    )


def _or_none(read: Callable[[], Proposals]) -> Proposals | None:
    with suppress(OSError, zipfile.BadZipFile, InputError, *MALFORMED):
        return read()
    return None
