"""`propose`: first instance masks of photos that have none."""

from __future__ import annotations

import argparse
from dataclasses import Field, asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, Literal

from segdemo.annotations import mask_formats
from segdemo.checkpoints.registry import DEFAULT_BACKBONE, DEFAULT_MODEL
from segdemo.commands.arguments import add_autoencoder, add_device, fraction, given
from segdemo.commands.digests import file_digest, model_digest, precision_used
from segdemo.commands.engines import add_engine, chosen_engine
from segdemo.commands.mask_run import MakeMasks, MaskRun
from segdemo.commands.output import check_output
from segdemo.commands.resumable_run import ResumableRun
from segdemo.commands.stored_run import part_folder
from segdemo.datatypes import InputError, InstanceMasks, RGBImage
from segdemo.files import ImageFile, find_images
from segdemo.uis.methods import methods


def add_propose(verbs: Any) -> None:
    """Add the verb and its flags."""
    parser: argparse.ArgumentParser = verbs.add_parser(
        "propose",
        help="first instance masks of photos that have none",
        description="Propose instances for a folder's photos and write them all in one format. "
        "diffdis cuts the subject's mask along edges; the other methods group "
        "the patches of a DINO vision transformer, which --features names. Finished photos are "
        "kept in <output>.part until all are: a run that was stopped is resumed when the same "
        "command is given again.",
    )
    parser.add_argument("--images", type=Path, nargs="+", required=True, metavar="INPUT")
    parser.add_argument("--output", type=Path, required=True, metavar="PATH", help="what to write")
    parser.add_argument(
        "--format", choices=mask_formats(), default="coco", help="default: %(default)s"
    )
    parser.add_argument(
        "--method",
        choices=("diffdis", *methods()),
        default="diffdis",
        help="default: %(default)s",
    )
    parser.add_argument(
        "--edges",
        choices=("diffegg", "diffdis"),
        default="diffegg",
        help="diffdis: the backbone's edges, or those that come with the mask, which cut less and "
        "take no second model (default: %(default)s)",
    )
    parser.add_argument(
        "--features",
        default="",
        metavar="FOLDER|HUB",
        help=f"{', '.join(methods())}: a ViT as transformers saves it, such as "
        "facebook/dino-vitb8 or facebook/dinov2-base",
    )
    parser.add_argument("--model", default=DEFAULT_MODEL, metavar="NAME|FOLDER|FILE|HUB")
    parser.add_argument("--backbone", default=DEFAULT_BACKBONE, metavar="NAME|FOLDER|HUB")
    add_device(parser)
    add_autoencoder(parser)
    add_engine(parser)
    parser.add_argument(
        "--threshold",
        type=fraction,
        default=0.5,
        metavar="T",
        help="diffdis: the subject is where its mask exceeds T (default: %(default)s)",
    )
    _add_method_settings(parser)
    parser.set_defaults(run=partial(_run, parser))


def _add_method_settings(parser: argparse.ArgumentParser) -> None:
    """Add a flag for every setting of a method; those of one name share it."""
    shared: dict[str, dict[str, Field[Any]]] = {}
    for method, entry in methods().items():
        for field in fields(entry.settings):
            shared.setdefault(field.name, {})[method] = field
    for name, by_method in shared.items():
        field = next(iter(by_method.values()))
        options: dict[str, Any] = {"action": argparse.BooleanOptionalAction}
        if not isinstance(field.default, bool):
            unit = field.metadata.get("unit", "n").upper()
            options = {"type": type(field.default), "metavar": unit}
        defaults = ", ".join(f"{method} {one.default}" for method, one in by_method.items())
        sentence = f"{field.metadata['help']} (default: {defaults})"
        parser.add_argument(f"--{name}", default=argparse.SUPPRESS, help=sentence, **options)


def _method_settings(arguments: argparse.Namespace) -> Any:
    """Build the method's settings, None for diffdis; raises InputError for another's flags."""
    method = methods().get(arguments.method)
    own = {field.name for field in fields(method.settings)} if method else set()
    others = {field.name for entry in methods().values() for field in fields(entry.settings)} - own
    foreign = sorted(others & vars(arguments).keys())
    if foreign:
        raise InputError(f"--method {arguments.method} has no --{foreign[0]}: leave it out.")
    return method.settings(**given(arguments, method.settings)) if method else None


def _run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    try:
        check_output(arguments.output, arguments.format)
        folder = part_folder(arguments.output)
        image_files = find_images(arguments.images, folder)
        if not image_files:
            raise InputError(
                f"Nothing to do: no photos in {', '.join(map(str, arguments.images))}."
            )
        work = ProposeWork(
            arguments.method,
            arguments.edges,
            arguments.features,
            arguments.model,
            arguments.backbone,
            arguments.device,
            arguments.precision,
            arguments.autoencoder,
            arguments.threshold,
            _method_settings(arguments),
        )
        run = ResumableRun(folder, work.named())
        return MaskRun(image_files, work, run).execute(
            arguments.output, arguments.format, chosen_engine(arguments)
        )
    except InputError as error:
        parser.error(str(error))


@dataclass(frozen=True)
class ProposeWork:
    """Proposes an image's masks; see `mask_run.MaskWork`. The fields are the flags."""

    method: str
    edges: Literal["diffegg", "diffdis"]
    features: str
    model: str
    backbone: str
    device: str
    precision: str
    autoencoder: str
    threshold: float
    settings: Any

    def named(self) -> dict[str, Any]:
        """Return what masks depend on beside the photos, as JSON holds it."""
        models = {"features": self.features}
        if self.method not in methods():
            models = {"model": self.model}
            if self.edges == "diffegg":
                models["backbone"] = self.backbone
            models["autoencoder"] = self.autoencoder
        return {
            "method": self.method,
            **models,
            **{f"files of {name}": model_digest(value) for name, value in models.items()},
            "precision": precision_used(self.precision, self.device),
            **(asdict(self.settings) if self.settings else {}),
            **({} if self.settings else {"edges": self.edges, "threshold": self.threshold}),
        }

    def fingerprint(self, image_file: ImageFile) -> str:
        """Return a hash of the photo; raises InputError."""
        return file_digest(image_file.path)

    def load(self) -> MakeMasks:
        """Load what the method needs and bind its settings; raises InputError."""
        from segdemo.assistant import AnnotationAssistant  # seconds: it brings PyTorch

        assistant = AnnotationAssistant(
            self.model,
            self.device,
            self.precision,
            self.backbone,
            self.features,
            autoencoder=self.autoencoder,
        )
        if self.method in methods():
            assistant.load_features()
        else:
            assistant.load()
            if self.edges == "diffegg":
                assistant.load_backbone()

        def propose(image_file: ImageFile, image: RGBImage) -> tuple[InstanceMasks, str]:
            found = assistant.propose(
                image,
                method=self.method,
                threshold=self.threshold,
                settings=self.settings,
                edges=self.edges,
            )
            return found, f"{len(found)} proposed"

        return propose
