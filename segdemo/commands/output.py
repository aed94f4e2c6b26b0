"""Where masks are written to: checked before the work, so that none is done for nothing."""

from __future__ import annotations

import os
from pathlib import Path

from segdemo.annotations import MaskFormat
from segdemo.datatypes import InputError


def check_output(output: Path, mask_format: MaskFormat) -> None:
    """Raise InputError if something would be replaced, or nothing can be written there."""
    if mask_format == "panoptic" and not output.suffix:
        raise InputError(
            f"--output {output}: panoptic is a JSON and a folder of its name, so call it "
            f"{output}.json."
        )
    for path in (output, output.with_suffix("")) if mask_format == "panoptic" else (output,):
        if os.path.lexists(path):
            raise InputError(f"--output {path} exists already: choose another path.")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"--output {output} cannot be written ({error.strerror}): choose another path."
        ) from error
    if not os.access(output.parent, os.W_OK):
        raise InputError(f"--output {output} cannot be written: choose another path.")
