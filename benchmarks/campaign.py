"""Try what breaks a program: hostile and broken inputs, by every entrance.

Each input goes through the reader, the command `refine` and, where it is one file, the page's Open
and the endpoint `/refine`. None may show a traceback, a Python error or a control character, hang,
write outside its output, or end with status 0 where something was left out; where there is a right
value it must be found. `benchmarks.campaign_kills` is the second part.

    python -m benchmarks.campaign
"""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import gradio_client
import numpy as np
from PIL import Image

from benchmarks import campaign_kills
from benchmarks.campaign_inputs import BOTH, HEIGHT, PHOTO, WIDTH, Case, Mask, all_cases
from benchmarks.hostile_files import time_limit
from segdemo.__main__ import main as command_line
from segdemo.annotations import read_masks
from segdemo.datatypes import InputError
from segdemo.editing.sessions import SessionStore
from segdemo.ui.refine.opening import open_files
from segdemo.ui.uploads import Upload

PATIENCE = 30  # seconds for one input at one entrance
LEAST_IOU = 0.8  # polygons lose a border
LONGEST = 2000  # characters of one message
# What a user must not read: Python's words, or what moves a terminal's cursor
FORBIDDEN = re.compile(
    r"Traceback|\b(?!InputError)[A-Z]\w*(?:Error|Exception)\b|object has no|NoneType|<class|"
    r"0x[0-9a-f]{6}|not subscriptable|unsupported operand|[\x00-\x08\x0b-\x1f\x7f]"
)


@dataclass
class Tally:
    """What happened to the inputs of one kind. problems: a sentence each."""

    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


def in_words(text: str) -> str | None:
    """Return what is wrong with a message, or None."""
    found = FORBIDDEN.search(text)
    if found:
        return f"says {found.group()!r}: {text[:200]!r}"
    if not text.strip():
        return "fails without a word"
    return f"says {len(text)} characters" if len(text) > LONGEST else None


def agrees(found: Sequence[Mask], wanted: Sequence[Mask]) -> bool:
    """Return whether each wanted mask is found once, and nothing else."""
    if len(found) != len(wanted):
        return False
    ious = [max((a & b).sum() / max((a | b).sum(), 1) for b in found) for a in wanted]
    return min(ious, default=1.0) >= LEAST_IOU


class Trial:
    """One input in a folder of its own, at each entrance."""

    def __init__(self, case: Case, folder: Path, client: gradio_client.Client | None) -> None:
        """Draw the photo, its edges and the input."""
        self.case, self.folder, self._client = case, folder, client
        self.problems: list[str] = []
        photo = np.full((HEIGHT, WIDTH, 3), 230, np.uint8)
        edge = np.zeros((HEIGHT, WIDTH), np.uint8)
        for mask in BOTH:
            photo[mask] = 90
            edge[mask ^ (mask & np.roll(mask, 1, 0) & np.roll(mask, 1, 1))] = 255
        for part, name, pixels in (("photos", PHOTO, photo), ("edges", "a_edge.png", edge)):
            (folder / part).mkdir()
            Image.fromarray(pixels).save(folder / part / name)
        given = case.write(folder / "photos" if case.photo else folder)
        self.masks = folder / "none.json" if case.photo else given
        self.given = given
        if case.photo:
            self.masks.write_text(ALL_MASKS)

    def run(self) -> str:
        """Try each entrance; returns what became of it: right, read or refused."""
        before = self._listed()
        outcome, complete = self._reader()
        self._command(complete)
        self._open()
        if self._client is not None:
            self._endpoint()
        if changed := self._listed() ^ before:
            self.problems.append(f"wrote or removed {sorted(map(ascii, changed))[:3]}")
        return outcome

    def _listed(self) -> set[str]:
        """Return the files of this trial and beside it, without outputs."""
        found = {str(path) for path in self.folder.parent.rglob("*")}
        out, kept = str(self.folder / "out"), str(self.folder / "sessions")
        return {path for path in found if not path.startswith((out, kept))}

    def _complain(self, entrance: str, wrong: str | None) -> None:
        if wrong:
            self.problems.append(f"{entrance} {wrong}")

    def _reader(self) -> tuple[str, bool]:
        """Read the masks; returns what became of them, and whether nothing was left out."""
        try:
            with time_limit(PATIENCE):
                read = read_masks(self.masks, {PHOTO: (HEIGHT, WIDTH)})
                found = list(read[PHOTO].masks) if PHOTO in read else []
        except InputError as error:
            self._complain("the reader", in_words(str(error)))
            if self.case.wanted is not None:
                self._complain("the reader", f"refuses what is right: {error}")
            return "refused", False
        except Exception as error:
            self._complain("the reader", f"raises {error!r}"[:300])
            return "traceback", False
        for sentence in read.sentences():
            self._complain("the reader", in_words(sentence))
        if self.case.wanted is not None and not agrees(found, self.case.wanted):
            self._complain("the reader", f"finds {[int(mask.sum()) for mask in found]}")
        left_out = any(note.left_out for note in read.notes)
        return "right" if self.case.wanted is not None else "read", not left_out and bool(found)

    def _command(self, complete: bool) -> None:
        """Refine by the command line, in this process."""
        said = io.StringIO()
        flags = ["--images", self.folder / "photos", "--masks", self.masks]
        flags += ["--edges", self.folder / "edges", "--output", self.folder / "out.json"]
        try:
            with time_limit(PATIENCE), contextlib.redirect_stderr(said):
                with contextlib.redirect_stdout(io.StringIO()):
                    status = command_line(["refine", *map(str, flags)])
        except SystemExit as error:
            status = int(error.code or 0)
        except Exception as error:
            self._complain("refine", f"raises {error!r}"[:300])
            return
        text = "\n".join(line for line in said.getvalue().split("\r") if line)
        if status not in (0, 1, 2):
            self._complain("refine", f"ends with {status}")
        if status or text:
            self._complain("refine", in_words(text))
        if not complete and not self.case.photo and not status:
            self._complain("refine", "ends with 0 where something was left out")
        if complete and not self.case.photo and status:
            self._complain("refine", f"ends with {status} where nothing was left out: {text[:200]}")

    def _uploads(self) -> tuple[list[Path], Path] | None:
        """Return photos and masks as the page is given them; None where it takes no such thing."""
        if self.case.photo:
            return [self.given, self.folder / "photos" / PHOTO], self.masks
        files = [self.masks] if self.masks.is_file() else sorted(self.masks.iterdir())
        if len(files) != 1 or not files[0].is_file():
            return None
        return [self.folder / "photos" / PHOTO], files[0]

    def _open(self) -> None:
        """Open as the page does."""
        if (uploads := self._uploads()) is None:
            return
        photos, masks = uploads
        session = SessionStore(self.folder / "sessions").create()
        given = [Upload(path=str(file), orig_name=file.name) for file in (*photos, masks)]
        try:
            with time_limit(PATIENCE):
                lines = open_files(session, given[:-1], given[-1:], [])
        except InputError as error:
            lines = [str(error)]
        except Exception as error:
            self._complain("Open", f"raises {error!r}"[:300])
            return
        for line in lines:
            self._complain("Open", in_words(line))
        if PHOTO not in session.names:
            self._complain("Open", "does not open the good photo")

    def _endpoint(self) -> None:
        """Ask `/refine` over HTTP."""
        if (uploads := self._uploads()) is None or self._client is None:
            return
        photos, masks = uploads
        handed = [gradio_client.handle_file(str(file)) for file in (photos[0], masks)]
        edge = gradio_client.handle_file(str(self.folder / "edges" / "a_edge.png"))
        try:
            with time_limit(PATIENCE):
                self._client.predict(*handed, edge, api_name="/refine")
        except TimeoutError as error:
            self._complain("/refine", str(error))
        except Exception as error:  # what the server answered
            self._complain("/refine", in_words(str(error)))


ALL_MASKS = (
    '{"images": [{"id": 1, "file_name": "a.png", "width": 32, "height": 24}], "categories": [],'
    ' "annotations": [{"id": 1, "image_id": 1, "segmentation": [[4, 4, 12, 4, 12, 12, 4, 12]]}]}'
)


def run_inputs(
    cases: Sequence[Case], scratch: Path, client: gradio_client.Client | None
) -> dict[str, Tally]:
    """Try all cases; returns what happened by kind."""
    tallies: dict[str, Tally] = {}
    for number, case in enumerate(cases):
        tally = tallies.setdefault(case.kind, Tally())
        place = scratch / "cases" / f"{number:04d}"
        (place / "work").mkdir(parents=True)
        trial = Trial(case, place / "work", client)
        tally.counts[trial.run()] += 1
        tally.problems += [f"{case.kind}, {case.name}: {problem}" for problem in trial.problems]
        shutil.rmtree(place)
    return tallies


def table(tallies: dict[str, Tally]) -> str:
    """Return the figures as a Markdown table."""
    ways = ("right", "read", "refused", "traceback")
    rows: list[tuple[str, ...]] = [
        ("inputs", "tried", "right value", "read", "refused in words", "tracebacks", "faults")
    ]
    for kind, tally in tallies.items():
        counts = [tally.counts[way] for way in ways]
        rows.append((kind, *map(str, (sum(counts), *counts, len(tally.problems)))))
    sums = [sum(int(row[place]) for row in rows[1:]) for place in range(1, 7)]
    rows.append(("all", *map(str, sums)))
    rows.insert(1, ("---", *["---:"] * 6))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> int:
    """Print a table and each fault; returns 1 where there is one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", default="", help="kinds that contain this")
    parser.add_argument("--no-endpoint", action="store_true", help="do not start a server")
    arguments = parser.parse_args()
    started = time.monotonic()
    cases = [case for case in all_cases() if arguments.only in case.kind]
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        scratch, log, client = Path(name), Path(name) / "server.log", None
        if not arguments.no_endpoint:
            url, _ = stack.enter_context(campaign_kills.served(scratch / "kept", log))
            client = gradio_client.Client(url, verbose=False)
        tallies = run_inputs(cases, scratch, client)
        faults = [problem for tally in tallies.values() for problem in tally.problems]
        if log.exists() and "Traceback" in log.read_text():
            said = log.read_text()
            faults.append("the server's log: " + said[said.index("Traceback") :][:3000])
    print(table(tallies))
    print(f"{time.monotonic() - started:.0f} s")
    print("\n".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
