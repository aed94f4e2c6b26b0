"""Render furniture models to cut-outs (RGBA), for `training.small.fetch --renders`.

    pip install vtk
    python -m training.small.render --output_dir renders

The models are OBJ files in the .sh3f archives of Debian's package sweethome3d-furniture, which is
downloaded by `apt-get`, or given by `--archives`. Each is seen from two sides. A display is not
needed. What is there already is left alone; a model that cannot be drawn is named and left out.
"""

from __future__ import annotations

import importlib
import logging
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import tqdm

from segdemo.datatypes import InputError
from segdemo.settings import setting
from training.loop.settings import Settings, required
from training.program import run_program
from training.small.fetch import download_debian

logger = logging.getLogger(__name__)

PACKAGE = "sweethome3d-furniture"
VIEWS = (35.0, -50.0)  # degrees around the vertical axis, from the front
ELEVATION = 18.0  # degrees
LARGEST_ARCHIVE = 1 << 30  # bytes unpacked


@dataclass(frozen=True, kw_only=True)
class RenderSettings(Settings):
    """Which models, and how large they are drawn."""

    own_folder = True

    output_dir: str = required("Folder that gets the RGBA images.")
    archives: str = setting("", "Folder of .sh3f archives; none: the package is downloaded.")
    size: int = setting(448, "Side of the images.", minimum=16, maximum=4096, unit="pixels")
    count: int = setting(0, "Most models to draw; 0: all.", minimum=0)


def render(settings: RenderSettings) -> int:
    """Draw all models; returns 1 where some could not be drawn. Raises InputError."""
    vtk = load_vtk()
    folder = Path(settings.output_dir)
    failed = 0
    with _archives(settings.archives) as archives, tempfile.TemporaryDirectory() as temporary:
        models = list(_models(archives, Path(temporary)))
        for name, model in tqdm(models[: settings.count or None], unit="model", disable=None):
            targets = [folder / f"{name}_{view}.png" for view in range(len(VIEWS))]
            if all(target.exists() for target in targets):
                continue
            try:
                images = draw(vtk, model, settings.size)
            except InputError as error:
                failed += 1
                logger.warning("%s is left out: %s", name, error)
                continue
            for target, image in zip(targets, images, strict=True):
                Image.fromarray(image).save(target)
    logger.info("%d images in %s", len(list(folder.glob("*.png"))), folder)
    return int(failed > 0)


def load_vtk() -> Any:
    """Return the module; raises InputError where it is not installed."""
    try:
        vtk: Any = importlib.import_module("vtk")
    except ImportError as error:
        raise InputError(
            "VTK draws the models and is not installed: .venv/bin/pip install vtk."
        ) from error
    vtk.vtkLogger.SetStderrVerbosity(vtk.vtkLogger.VERBOSITY_OFF)  # it misses a display
    return vtk


def draw(vtk: Any, model: Path, size: int) -> list[npt.NDArray[np.uint8]]:
    """Draw an OBJ file with its materials, (size, size, 4) for each of the views.

    Raises InputError where nothing of it can be seen.
    """
    window, renderer = vtk.vtkRenderWindow(), vtk.vtkRenderer()
    window.SetOffScreenRendering(1)
    window.SetAlphaBitPlanes(1)
    window.SetMultiSamples(0)
    window.SetSize(2 * size, 2 * size)
    window.AddRenderer(renderer)
    importer = vtk.vtkOBJImporter()
    importer.SetFileName(str(model))
    materials = model.with_suffix(".mtl")
    if materials.is_file():
        importer.SetFileNameMTL(str(materials))
        importer.SetTexturePath(str(model.parent))
    importer.SetRenderWindow(window)
    importer.Update()
    renderer.SetBackgroundAlpha(0.0)
    renderer.RemoveAllLights()
    renderer.AddLight(_light(vtk))
    camera = renderer.GetActiveCamera()
    images = []
    for angle in VIEWS:
        camera.SetFocalPoint(0, 0, 0)
        camera.SetPosition(0, 0, 1)
        camera.SetViewUp(0, 1, 0)
        camera.Azimuth(angle)
        camera.Elevation(ELEVATION)
        renderer.ResetCamera()
        renderer.ResetCameraClippingRange()
        window.Render()
        images.append(_pixels(vtk, window, size))
    window.Finalize()
    if not all(image[..., 3].any() for image in images):
        raise InputError("nothing of it can be seen.")
    return images


def _light(vtk: Any) -> Any:
    """Return a lamp beside the camera."""
    light = vtk.vtkLight()
    light.SetLightTypeToCameraLight()
    light.SetPosition(0.4, 0.6, 1.0)
    light.SetFocalPoint(0, 0, 0)
    return light


def _pixels(vtk: Any, window: Any, size: int) -> npt.NDArray[np.uint8]:
    """Read a window of twice the size, smooth at its borders."""
    reader = vtk.vtkWindowToImageFilter()
    reader.SetInput(window)
    reader.SetInputBufferTypeToRGBA()
    reader.ReadFrontBufferOff()
    reader.Update()
    values = importlib.import_module("vtk.util.numpy_support").vtk_to_numpy(
        reader.GetOutput().GetPointData().GetScalars()
    )
    drawn = Image.fromarray(values.reshape(2 * size, 2 * size, 4)[::-1].copy())
    return np.asarray(drawn.resize((size, size), Image.Resampling.BOX))


@contextmanager
def _archives(given: str) -> Iterator[list[Path]]:
    """Yield the .sh3f files; raises InputError where there are none."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(given) if given else download_debian(PACKAGE, temporary)
        found = sorted(folder.rglob("*.sh3f"))
        if not found:
            raise InputError(f"{folder} holds no .sh3f archives: see the package {PACKAGE}.")
        yield found


def _models(archives: list[Path], temporary: Path) -> Iterator[tuple[str, Path]]:
    """Unpack archives; yield each model's name and its file."""
    for archive in archives:
        target = temporary / archive.stem
        try:
            with zipfile.ZipFile(archive) as packed:
                if sum(entry.file_size for entry in packed.infolist()) > LARGEST_ARCHIVE:
                    raise InputError(f"{archive} is larger than any of {PACKAGE}: check it.")
                packed.extractall(target)  # keeps to the folder, whatever the names say
        except zipfile.BadZipFile as error:
            raise InputError(f"{archive} is damaged: download it again.") from error
        for model in sorted(target.rglob("*.obj")):
            yield f"{archive.stem}__{model.stem}", model


def main(argv: list[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    return run_program(render, RenderSettings, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
