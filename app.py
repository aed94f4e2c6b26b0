"""Serve the page: `python app.py`, and the entry of a Hugging Face Space.

    python app.py
    python app.py holiday/
    python app.py --model runs/small/export --port 8000
    python app.py --make-password ada >> accounts
    python app.py --host 0.0.0.0 --auth accounts

What is used and kept can be given by the environment too: SEGDEMO_MODEL, SEGDEMO_MODELS (with
spaces between), SEGDEMO_BACKBONE, SEGDEMO_FEATURES, SEGDEMO_PROMPTER, SEGDEMO_AUTOENCODER,
SEGDEMO_DEVICE, SEGDEMO_PRECISION, SEGDEMO_SESSIONS, SEGDEMO_KEEP, SEGDEMO_ROOT_PATH,
SEGDEMO_AUTH and SEGDEMO_PROJECT.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import getpass
import logging
import math
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from segdemo.checkpoints.registry import (
    DEFAULT_BACKBONE,
    DEFAULT_MODEL,
    DEFAULT_PROMPTER,
    registered_names,
)
from segdemo.settings import AUTO_PRECISION, PRECISION_HELP, PRECISION_NAMES
from segdemo.terminal import print_any_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from segdemo.assistant import AnnotationAssistant
    from segdemo.projects.project import Project

logger = logging.getLogger("segdemo.app")


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read flags; what is not given comes from the environment."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    environment = os.environ
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        metavar="PROJECT_DIR",
        help="a folder of images to work on in the tab Refine: masks beside them are taken in, "
        "results are saved beside them at once",
    )
    parser.add_argument(
        "--project",
        type=Path,
        metavar="PROJECT_DIR",
        default=environment.get("SEGDEMO_PROJECT"),
        help="the same",
    )
    parser.add_argument(
        "--format",
        choices=("labels", "labelme"),
        help="of a project's results: label PNG with classes.json, or what LabelMe opens "
        "(default: that of the last time, at first labels)",
    )
    parser.add_argument(
        "--model",
        default=environment.get("SEGDEMO_MODEL", DEFAULT_MODEL),
        help=f"{', '.join(registered_names('diffdis'))}, a folder, a .safetensors file or a Hub id "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--models",
        nargs="+",
        metavar="MODEL",
        default=environment.get("SEGDEMO_MODELS", "").split(),
        help="models that visitors choose from and compare, the first is chosen at the start; "
        "--model is then not used (default: only --model)",
    )
    parser.add_argument(
        "--backbone",
        default=environment.get("SEGDEMO_BACKBONE", DEFAULT_BACKBONE),
        help="whose attention Inspect shows: small, small-imagenet, a folder or a Hub id "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--device",
        default=environment.get("SEGDEMO_DEVICE", "auto"),
        help="auto, cpu, cuda, cuda:N or mps (default: %(default)s)",
    )
    parser.add_argument(
        "--precision",
        default=environment.get("SEGDEMO_PRECISION", AUTO_PRECISION),
        help=f"{', '.join(PRECISION_NAMES)}: {PRECISION_HELP} (default: %(default)s)",
    )
    parser.add_argument(
        "--features",
        default=environment.get("SEGDEMO_FEATURES", ""),
        help="DINO ViT for proposals by MaskCut, TokenCut and ProMerge: a folder or Hub id "
        "(default: none)",
    )
    parser.add_argument(
        "--prompter",
        default=environment.get("SEGDEMO_PROMPTER", DEFAULT_PROMPTER),
        help="what turns boxes and clicks into masks: a folder or Hub id of a SAM, SAM 2 or "
        "EdgeTAM, such as facebook/sam-vit-base (default: %(default)s, embedded)",
    )
    parser.add_argument(
        "--autoencoder",
        default=environment.get("SEGDEMO_AUTOENCODER", ""),
        help="in place of the models' own: a folder or Hub id of one for the same latents, such as "
        "madebyollin/taesd for Stable Diffusion's (default: their own)",
    )
    parser.add_argument(
        "--compile",
        action="store_true",
        help="let PyTorch compile the network that segments, at its first photo of each size",
    )
    parser.add_argument(
        "--sessions",
        type=Path,
        default=environment.get("SEGDEMO_SESSIONS") or Path.home() / ".cache/segdemo/sessions",
        help="folder where annotators' work is kept (default: %(default)s)",
    )
    parser.add_argument(
        "--keep",
        type=_days,
        metavar="DAYS",
        default=environment.get("SEGDEMO_KEEP") or ("1" if "SPACE_ID" in environment else None),
        help="delete annotators' work this many days after its last use "
        "(default: never; on a Hugging Face Space 1)",
    )
    parser.add_argument("--host", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, help="port to listen on (default: 7860 or the next)")
    parser.add_argument(
        "--root_path",
        metavar="PATH",
        default=environment.get("SEGDEMO_ROOT_PATH", ""),
        help="path below which a proxy shows the page, such as /segdemo (default: none)",
    )
    parser.add_argument(
        "--auth",
        type=Path,
        metavar="FILE",
        default=environment.get("SEGDEMO_AUTH"),
        help="ask visitors for a name and a password; FILE holds a line for each "
        "(default: ask for none)",
    )
    parser.add_argument(
        "--make-password",
        metavar="NAME",
        help="ask for a password, print NAME's line for the file of --auth, and end",
    )
    return parser.parse_args(argv)


def _days(text: str) -> float:
    """Read a number of days."""
    try:
        days = float(text)
    except ValueError:
        days = 0
    if not 0 < days < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days, such as 7 or 0.5")
    return days


def build_assistant(
    model: str,
    device: str,
    precision: str,
    backbone: str = DEFAULT_BACKBONE,
    features: str = "",
    prompter: str = DEFAULT_PROMPTER,
    autoencoder: str = "",
    compiled: bool = False,
    others: Sequence[str] = (),
) -> AnnotationAssistant:
    """Build the assistant; on ZeroGPU Spaces each call of a model borrows the GPU.

    Raises InputError for a model, device or precision that does not exist.
    """
    gpu = None
    if os.environ.get("SPACES_ZERO_GPU"):
        import spaces  # it wants to be there before torch

        gpu = spaces.GPU
    from segdemo.assistant import AnnotationAssistant

    assistant = AnnotationAssistant(
        model,
        device,
        precision,
        backbone,
        features,
        gpu,
        prompter,
        autoencoder,
        compiled,
        others,
    )
    if gpu is not None:  # it wants the weights placed at start
        loads = [assistant.load, assistant.load_backbone, assistant.load_prompter]
        for load in loads + ([assistant.load_features] if features else []):
            load_or_log(load)
    return assistant


def load_or_log(load: Callable[[], None]) -> None:
    """Load a model so that the first click is quick; a failure shows again at that click."""
    from segdemo.datatypes import InputError

    try:
        load()
    except InputError as error:
        logger.error("%s", error)


def make_password(name: str) -> str:
    """Ask for a password, by a pipe or twice at a terminal; returns its line for `--auth`.

    Raises InputError for a name or password that will not do.
    """
    from segdemo.datatypes import InputError
    from segdemo.ui.passwords import password_line

    if not sys.stdin.isatty():
        return password_line(name, sys.stdin.readline().rstrip("\r\n"))
    password = getpass.getpass(f"Password of {name}: ", sys.stderr)
    if getpass.getpass("Again: ", sys.stderr) != password:
        raise InputError("The two passwords differ: try again.")
    return password_line(name, password)


def open_project(arguments: argparse.Namespace) -> Project | None:
    """Open the folder that was named, if one was; raises InputError."""
    from segdemo.datatypes import InputError
    from segdemo.projects.project import Project

    if arguments.folder and arguments.project and arguments.folder != Path(arguments.project):
        raise InputError("Two folders are named as the project: leave --project out.")
    folder = arguments.folder or arguments.project
    if folder is None:
        if arguments.format:
            raise InputError("--format says how a project's results are saved: name its folder.")
        return None
    project = Project(folder, arguments.format)
    for sentence in project.notes:
        logger.warning("%s", sentence)
    return project


def main(argv: list[str] | None = None) -> int:
    """Run the server until interrupted; 2 when a flag names something that does not exist."""
    print_any_text()
    arguments = parse(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    from segdemo.datatypes import InputError
    from segdemo.editing.sessions import DAY, SessionStore
    from segdemo.ui.passwords import Accounts

    try:
        if arguments.make_password is not None:
            print(make_password(arguments.make_password))
            return 0
        admit = None if arguments.auth is None else Accounts.read(arguments.auth).admit
        model, *others = arguments.models or [arguments.model]
        assistant = build_assistant(
            model,
            arguments.device,
            arguments.precision,
            arguments.backbone,
            arguments.features,
            arguments.prompter,
            arguments.autoencoder,
            arguments.compile,
            others,
        )
        keep = arguments.keep
        store = SessionStore(arguments.sessions, None if keep is None else keep * DAY)
        project = open_project(arguments)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2

    from segdemo.ui.page import build_demo
    from segdemo.ui.serving import PageServer, is_local, launch

    if project is not None:
        from segdemo.projects.background import Worker
        from segdemo.ui.refine.for_all import models_of
        from segdemo.ui.refine.project_session import ProjectStore

        worker = Worker(project, models_of(assistant))
        store = ProjectStore(store, project, worker, asks_names=admit is None)
        worker.start()
        atexit.register(project.close)
        atexit.register(worker.stop)
    demo = build_demo(assistant, store)
    # leave in order also when told to by a container, so that temporary folders are deleted
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if os.environ.get("SPACES_ZERO_GPU"):
        launch(demo, admit)
        return 0
    try:
        server = PageServer(demo, arguments.host, arguments.port, admit, arguments.root_path)
    except (OSError, OverflowError) as error:  # taken, not ours to take, or no port number
        print(f"The page cannot be served there: {error}", file=sys.stderr)
        return 2
    if admit is None and not is_local(server.host) and "SPACE_ID" not in os.environ:
        logger.warning("whoever reaches %s can use this page: see --auth", server.host)
    print(f"Running on {server.url}", flush=True)
    threading.Thread(target=load_or_log, args=(assistant.load,), daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):
        server.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
