"""Parameter names of DiffDIS' additions: ours, and those of the official code and its weights.

Weights on disk carry the official names, so that either code reads the other's files.
"""

from __future__ import annotations

import re

_RENAMES = (
    (r"^injectors\.(\d)\.features\.", r"rgb_conv.\1."),
    (r"^injectors\.(\d)\.scale\.", r"rgb_proj.\1."),
    (r"^injectors\.(\d)\.shift\.", r"rgb_proj1.\1."),
    (r"^(mid_block\..*)attn_mutual\.", r"\1attn3."),
    (r"^(mid_block\..*)norm_mutual\.", r"\1norm2_."),
)
_RENAMES_BACK = (
    (r"^rgb_conv\.(\d)\.", r"injectors.\1.features."),
    (r"^rgb_proj\.(\d)\.", r"injectors.\1.scale."),
    (r"^rgb_proj1\.(\d)\.", r"injectors.\1.shift."),
    (r"^(mid_block\..*)attn3\.", r"\1attn_mutual."),
    (r"^(mid_block\..*)norm2_\.", r"\1norm_mutual."),
)


def official_name(name: str) -> str:
    """Translate a parameter name of ours to the official DiffDIS code's."""
    for ours, theirs in _RENAMES:
        name = re.sub(ours, theirs, name)
    return name


def our_name(name: str) -> str:
    """Translate an official parameter name to ours; names of ours stay as they are."""
    name = name.removeprefix("module.")  # what an unwrapped data-parallel model leaves
    for theirs, ours in _RENAMES_BACK:
        name = re.sub(theirs, ours, name)
    return name
