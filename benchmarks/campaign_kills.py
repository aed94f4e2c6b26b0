"""Kill the page's server while edits stream in: no edit that was answered as saved may be lost.

The client makes the page's own HTTP calls: the greeting through Gradio's queue, edits by the mask
editor's server functions. Each cycle starts the tab "Refine" as a process, greets (a reload),
compares what is there with what was answered, edits, and kills the process at a random moment.

    python -m benchmarks.campaign_kills --cycles 60
"""

from __future__ import annotations

import argparse
import base64
import gzip
import json
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from segdemo.datatypes import InstanceMasks
from segdemo.editing.patches import pack
from segdemo.editing.sessions import SessionStore
from segdemo.ui.refine.opening import PHOTO, THUMBNAIL, VIEW

SIZE = (96, 128)  # (height, width) of a photo
PHOTOS = 3
ROOT = Path(__file__).parent.parent
START_SECONDS, ANSWER_SECONDS = 240, 60
EDITING = (0.05, 1.5)  # seconds from the first edit to the kill
LARGEST_ID = 40

Labels = npt.NDArray[np.uint16]


@dataclass
class Known:
    """What a client knows of one photo: the labels answered as saved, and an edit in the air."""

    labels: Labels
    revision: int = 0
    unanswered: Labels | None = None


@dataclass
class Outcome:
    """The figures of a campaign. problems: one sentence for each loss or traceback."""

    cycles: int = 0
    answered: int = 0
    in_the_air: int = 0
    kept_unanswered: int = 0
    problems: list[str] = field(default_factory=list)


class Client:
    """One reload of the page, by HTTP."""

    def __init__(self, url: str) -> None:
        """Read which component the editor is, and which event greets."""
        self._api = url + "gradio_api/"
        config = json.loads(_get(url + "config"))
        (self._editor,) = [
            component["id"]
            for component in config["components"]
            if component["props"].get("elem_id") == "mask-editor"
        ]
        (self._hello,) = [
            event["id"]
            for event in config["dependencies"]
            if [self._editor, "hello"] in [list(target) for target in event["targets"]]
        ]
        self._hash = f"{random.getrandbits(40):x}"

    def greet(self, token: str, picture: int) -> dict[str, Any]:
        """Ask for an image; returns the editor's message."""
        said = {"token": token, "picture": picture, "greeting": 1}
        event = {"data": [], "event_data": said, "fn_index": self._hello}
        _post(self._api + "queue/join", {**event, "session_hash": self._hash})
        stream = f"{self._api}queue/data?session_hash={self._hash}"
        with urllib.request.urlopen(stream, timeout=ANSWER_SECONDS) as answers:
            for line in answers:
                message = json.loads(line[5:]) if line.startswith(b"data:") else {}
                if message.get("msg") == "process_completed":
                    return dict(message["output"]["data"][0])
        raise OSError("the stream ended without an answer")

    def labels(self, message: dict[str, Any]) -> Labels:
        """Load the labels of an opened image."""
        picture = message["picture"]
        raw = gzip.decompress(_get(picture["labels"]["url"]))
        return np.frombuffer(raw, "<u2").reshape(picture["height"], picture["width"]).copy()

    def call(self, name: str, request: dict[str, Any]) -> dict[str, Any]:
        """Call a server function of the editor."""
        body = {"component_id": self._editor, "fn_name": name, "session_hash": self._hash}
        return dict(_post(self._api + "component_server", {**body, "data": request}))


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=ANSWER_SECONDS) as answer:
        return bytes(answer.read())


def _post(url: str, content: dict[str, Any]) -> Any:
    head = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(content).encode(), head)
    with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
        return json.loads(answer.read())


def serve(folder: Path, port: int) -> None:
    """Serve the tab "Refine"; its models are never loaded."""
    import gradio as gr

    from segdemo.assistant import AnnotationAssistant
    from segdemo.ui.refine.tab import build_refine_tab
    from segdemo.ui.serving import PageServer

    with gr.Blocks(analytics_enabled=False) as demo:
        build_refine_tab(AnnotationAssistant("small", "cpu", "fp32"), SessionStore(folder))
    PageServer(demo, port=port).run()


@contextmanager
def served(folder: Path, log: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Start the server; yields its address and process, which ends with the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}/"
    command = [sys.executable, "-m", "benchmarks.campaign_kills", "--serve", str(folder), str(port)]
    with log.open("ab") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)
    try:
        for _ in range(START_SECONDS * 10):
            if process.poll() is not None:
                raise RuntimeError(f"the server ended at its start: {log.read_text()[-2000:]}")
            try:
                _get(url + "config")
                break
            except OSError:
                time.sleep(0.1)
        yield url, process
    finally:
        process.kill()
        process.wait()


def begin(folder: Path, scratch: Path) -> str:
    """Put photos without masks into a new session; returns its token."""
    session = SessionStore(folder).create()
    files = {name: scratch / f"{name}.jpg" for name in (PHOTO, VIEW, THUMBNAIL)}
    for file in files.values():
        Image.new("RGB", SIZE[::-1], (90, 120, 60)).save(file)
    nothing = InstanceMasks.unscored(np.zeros((0, *SIZE), bool))
    for number in range(PHOTOS):
        session.add(f"{number}.jpg", nothing, files)
    return session.token


def check(client: Client, token: str, index: int, known: Known, outcome: Outcome) -> str:
    """Reload one photo and compare; returns the lease to edit it with."""
    message = client.greet(token, index)
    if message["message"] != "picture" or message["picture"]["index"] != index:
        outcome.problems.append(f"photo {index} does not open: {message.get('note')}")
        return ""
    found, revision = client.labels(message), message["picture"]["revision"]
    if known.unanswered is not None and revision == known.revision + 1:
        outcome.kept_unanswered += 1
        known.labels, known.revision = known.unanswered, revision
    known.unanswered = None
    if revision != known.revision or not (found == known.labels).all():
        outcome.problems.append(
            f"photo {index}: revision {known.revision} was answered as saved, {revision} is there"
            f", {int((found != known.labels).sum())} pixels differ"
        )
        known.labels, known.revision = found, revision
    return str(message["picture"]["lease"])


def edit(
    client: Client, about: dict[str, Any], known: Known, chance: random.Random, outcome: Outcome
) -> bool:
    """Send one rectangle; returns whether it was answered as saved."""
    height, width = chance.randint(1, SIZE[0]), chance.randint(1, SIZE[1])
    y, x = chance.randint(0, SIZE[0] - height), chance.randint(0, SIZE[1] - width)
    after = known.labels.copy()
    after[y : y + height, x : x + width] = chance.randint(0, LARGEST_ID)
    labels = base64.b64encode(pack(after[y : y + height, x : x + width].astype("<u2"))).decode()
    box = {"x": x, "y": y, "width": width, "height": height}
    known.unanswered = after
    try:
        answer = client.call(
            "apply_patch",
            {**about, **box, "labels": labels, "what": "Brush", "revision": known.revision + 1},
        )
    except (OSError, ValueError, HTTPException):  # killed
        return False
    if answer.get("revision") != known.revision + 1:
        outcome.problems.append(f"an edit was refused: {answer}")
        return False
    outcome.answered += 1
    known.labels, known.revision, known.unanswered = after, known.revision + 1, None
    return True


def cycle(
    folder: Path, log: Path, token: str, known: list[Known], chance: random.Random, out: Outcome
) -> None:
    """Start, reload, compare, edit, kill."""
    index = chance.randrange(PHOTOS)
    with served(folder, log) as (url, process):
        client = Client(url)
        lease = check(client, token, index, known[index], out)
        about = {"token": token, "picture": index, "lease": lease}
        timer = threading.Timer(chance.uniform(*EDITING), process.send_signal, [signal.SIGKILL])
        timer.start()
        while edit(client, about, known[index], chance, out):
            pass
        out.in_the_air += 1
        timer.join()
    out.cycles += 1


def run_kills(cycles: int, seed: int, seconds: float) -> Outcome:
    """Run cycles until there are enough or the time is over; the last reload checks all photos."""
    chance, outcome, started = random.Random(seed), Outcome(), time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        folder, log = Path(scratch) / "sessions", Path(scratch) / "server.log"
        token = begin(folder, Path(scratch))
        known = [Known(np.zeros(SIZE, np.uint16)) for _ in range(PHOTOS)]
        while outcome.cycles < cycles and time.monotonic() - started < seconds:
            cycle(folder, log, token, known, chance, outcome)
        with served(folder, log) as (url, _):
            for index in range(PHOTOS):
                check(Client(url), token, index, known[index], outcome)
        if "Traceback" in (said := log.read_text()):
            outcome.problems.append("the server's log: " + said[said.index("Traceback") :][:2000])
    return outcome


def summary(outcome: Outcome) -> str:
    """Return the figures, and a line for each problem."""
    figures = [
        f"kills and reloads: {outcome.cycles}",
        f"edits answered as saved: {outcome.answered}",
        f"edits in the air at a kill: {outcome.in_the_air}, {outcome.kept_unanswered} arrived",
        f"losses and tracebacks: {len(outcome.problems)}",
    ]
    return "\n".join([*figures, *outcome.problems])


def main() -> int:
    """Print the figures; returns 1 where something was lost."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--cycles", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=1800, help="no cycle begins after these")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(Path(arguments.serve[0]), int(arguments.serve[1]))
        return 0
    started = time.monotonic()
    outcome = run_kills(arguments.cycles, arguments.seed, arguments.seconds)
    print(summary(outcome))
    print(f"{time.monotonic() - started:.0f} s")
    return 1 if outcome.problems or outcome.cycles < arguments.cycles else 0


if __name__ == "__main__":
    sys.exit(main())
