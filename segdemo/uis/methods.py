"""The base methods by name: adding one is one entry here, or a plugin. No PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from segdemo.datatypes import InputError, InstanceMasks, RGBImage
from segdemo.plugins import added, plugins
from segdemo.uis.maskcut import MaskCutSettings, cut_patches
from segdemo.uis.patch_masks import BoolMask, enlarge_masks
from segdemo.uis.promerge import ProMergeSettings, prompt_and_merge
from segdemo.uis.tokencut import TokenCutSettings, salient_object


class UISSettings(Protocol):
    """What the settings of every method have."""

    @property
    def crf(self) -> bool:
        """Whether a dense CRF refines the masks."""


@dataclass(frozen=True)
class Method:
    """A method: its name, the class of its settings, and what finds masks (h, w) among patches."""

    title: str
    settings: type[Any]
    find: Callable[[npt.NDArray[np.float32], Any], list[BoolMask]]


METHODS = {
    "maskcut": Method("MaskCut", MaskCutSettings, cut_patches),
    "tokencut": Method("TokenCut", TokenCutSettings, salient_object),
    "promerge": Method("ProMerge", ProMergeSettings, prompt_and_merge),
}


def methods() -> dict[str, Method]:
    """Return the base methods, a plugin's last."""
    return added(METHODS, plugins().uis_methods)


def find_objects(
    method: str,
    keys: npt.NDArray[np.float32],
    image: RGBImage,
    settings: UISSettings | None = None,
) -> InstanceMasks:
    """Find an image's objects by its patches' features (h, w, d); they may number 0 and overlap.

    settings: of the method's class; None is the paper's. Raises InputError where it is another's.
    """
    chosen = methods()[method]
    settings = chosen.settings() if settings is None else settings
    if not isinstance(settings, chosen.settings):
        raise InputError(f"{chosen.title} needs {chosen.settings.__name__}.")
    return enlarge_masks(chosen.find(keys, settings), image, settings.crf)
