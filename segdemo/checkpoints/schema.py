"""Validate what JSON files say, by schemas of pydantic: one sentence with the file and field."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from segdemo.checkpoints.files import CheckpointError

STRICT = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)
"""Numbers are numbers and not their text, unknown entries are for others, NaN is refused."""

_Entry = TypeVar("_Entry")


class Schema(BaseModel):
    """A JSON object whose entries are checked."""

    model_config = ConfigDict(**STRICT, frozen=True)


def validated(kind: Callable[..., _Entry], content: dict[str, Any], file: Path) -> _Entry:
    """Return the JSON object of a file as a schema's class; raises CheckpointError."""
    try:
        return kind(**content)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False)[0]
        # of a choice between types, pydantic names the types behind the entry
        place = [str(key) for key in problem["loc"] if isinstance(key, int) or key in str(content)]
        field = ".".join(place) or "the whole"
        message = problem["msg"].removeprefix("Value error, ")
        message = message[:1].lower() + message[1:]
        given = repr(problem["input"])
        if problem["type"].startswith("missing"):
            raise CheckpointError(f"{file}: {field!r} is missing.") from error
        raise CheckpointError(
            f"{file}: {field!r} is {given if len(given) <= 60 else given[:57] + '...'}, but "
            f"{message}: correct it, or copy or download the file again."
        ) from error
