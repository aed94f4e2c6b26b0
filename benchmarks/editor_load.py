"""How long strokes wait while many people edit and models run: p50 and p95 of acknowledgement.

    python -m benchmarks.editor_load
    python -m benchmarks.editor_load --editors 50 --jobs 2 --seconds 30 -- --model runs/small/export

Starts app.py with a session for each editor, as the mask editor opens it. Each editor sends a
stroke, waits until the server has saved it, and rests; beside them so many clients have photos
segmented one after the other. What follows `--` goes to app.py. Both ends share this machine.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from gradio_client import handle_file
from PIL import Image

from benchmarks.app_speed import (
    PATIENCE,
    ROOT,
    make_photo,
    patient_client,
    seconds_until_page,
)
from segdemo.editing.patches import pack
from segdemo.editing.sessions import SessionStore
from segdemo.ui.refine.opening import add_photo

SIDE = 32  # pixels a side of a stroke
SIZE = (900, 1200)  # of the photo that is edited, (height, width)


@dataclass
class Load:
    """What was measured so far. acknowledged: seconds of each stroke; photos: finished ones."""

    acknowledged: list[float] = field(default_factory=list)
    photos: int = 0
    problems: list[str] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)


def edit(url: str, component: int, token: str, number: int, rest: float, load: Load) -> None:
    """Send strokes until told to end."""
    labels = base64.b64encode(pack(np.full((SIDE, SIDE), 1 + number % 9, "<u2"))).decode()
    revision = 1
    rng = np.random.default_rng(number)
    while not load.done.wait(rng.uniform(0, 2 * rest)):
        request = {
            "token": token,
            "picture": 0,
            "revision": revision,
            "what": "Brush",
            "x": int(rng.integers(0, SIZE[1] - SIDE)),
            "y": int(rng.integers(0, SIZE[0] - SIDE)),
            "width": SIDE,
            "height": SIDE,
            "labels": labels,
        }
        started = time.perf_counter()
        answer = call_server(url, component, "apply_patch", request, f"editor{number}")
        if "revision" not in answer:
            load.problems.append(str(answer))
            return
        load.acknowledged.append(time.perf_counter() - started)
        revision = answer["revision"] + 1


def call_server(url: str, component: int, name: str, data: Any, session: str) -> dict[str, Any]:
    """Call a server function of the editor as its page does."""
    body = {"data": data, "component_id": component, "fn_name": name, "session_hash": session}
    request = urllib.request.Request(
        f"{url}gradio_api/component_server",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return dict(json.load(answer))
    except OSError as error:
        return {"error": str(error)}


def segment(url: str, photo: Path, load: Load) -> None:
    """Have a photo segmented again and again."""
    client = patient_client(url)
    while not load.done.is_set():
        client.predict(handle_file(str(photo)), api_name="/segment")
        load.photos += 1


def editor_component(url: str) -> int:
    """Return the number of the mask editor on the page."""
    with urllib.request.urlopen(f"{url}config", timeout=60) as answer:
        components = json.load(answer)["components"]
    for one in components:
        if "apply_patch" in (one.get("props", {}).get("server_fns") or []):
            return int(one["id"])
    raise RuntimeError("The page has no mask editor.")


def prepare(folder: Path, photo: Path, editors: int) -> list[str]:
    """Make a session with one photo for each editor; returns their tokens."""
    store, tokens = SessionStore(folder), []
    for _ in range(editors):
        session = store.create()
        add_photo(session, photo, "photo.jpg")
        tokens.append(session.token)
    return tokens


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; 1 where an editor was refused."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--editors", type=int, default=50)
    parser.add_argument("--jobs", type=int, default=2, help="clients that segment photos")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--rest", type=float, default=1.0, help="seconds between strokes, about")
    parser.add_argument("app_arguments", nargs="*", help="Flags for app.py, after `--`.")
    options = parser.parse_args(argv)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}/"
    load = Load()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        photo = make_photo(folder / "photo.jpg")
        small = folder / "small.jpg"
        Image.open(photo).resize(SIZE[::-1]).save(small, quality=90)
        tokens = prepare(folder / "sessions", small, options.editors)
        flags = ["--port", str(port), "--sessions", str(folder / "sessions")]
        command = [sys.executable, "app.py", *flags, *options.app_arguments]
        environment = os.environ | {"GRADIO_ANALYTICS_ENABLED": "False"}
        server = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            seconds_until_page(url, server, time.perf_counter())
            patient_client(url).predict(handle_file(str(photo)), api_name="/segment")  # models load
            component = editor_component(url)
            threads = [
                threading.Thread(
                    target=edit, args=(url, component, token, number, options.rest, load)
                )
                for number, token in enumerate(tokens)
            ]
            threads += [
                threading.Thread(target=segment, args=(url, photo, load))
                for _ in range(options.jobs)
            ]
            for thread in threads:
                thread.start()
            time.sleep(options.seconds)
            load.done.set()
            for thread in threads:
                thread.join(120)
        finally:
            load.done.set()
            server.terminate()
            server.wait(PATIENCE)
    for problem in load.problems[:3]:
        print(problem, file=sys.stderr)
    if len(load.acknowledged) < 2:
        print("no stroke was acknowledged", file=sys.stderr)
        return 1
    cuts = statistics.quantiles(load.acknowledged, n=100)
    print(
        f"{options.editors} editors, {options.jobs} jobs: {len(load.acknowledged)} strokes "
        f"acknowledged, p50 {cuts[49] * 1000:.0f} ms, p95 {cuts[94] * 1000:.0f} ms; "
        f"{load.photos} photos segmented in {options.seconds:.0f} s"
    )
    return 1 if load.problems else 0


if __name__ == "__main__":
    sys.exit(main())
