"""Validate what JSON files say, by schemas of pydantic: one sentence with the file and field."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from segdemo.checkpoints.files import CheckpointError

STRICT = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False, frozen=True)
"""Numbers are numbers and not their text, unknown entries are for others, NaN is refused."""

_Entry = TypeVar("_Entry")


class Schema(BaseModel):
    """A JSON object whose entries are checked."""

    model_config = STRICT


def validated(kind: type[_Entry], content: Any, file: Path) -> _Entry:
    """Return the content of a JSON file as a schema's class; raises CheckpointError."""
    try:
        return TypeAdapter(kind).validate_python(content)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False)[0]
        # of a choice between types, pydantic names the types behind the entry
        place = [str(key) for key in problem["loc"] if isinstance(key, int) or key in str(content)]
        field = ".".join(place) or "the whole"
        message = problem["msg"].removeprefix("Value error, ")
        message = message[:1].lower() + message[1:]
        given = repr(problem["input"])
        if problem["type"] == "missing":
            raise CheckpointError(f"{file}: {field!r} is missing.") from error
        raise CheckpointError(
            f"{file}: {field!r} is {given if len(given) <= 60 else given[:57] + '...'}, but "
            f"{message}: correct it, or copy or download the file again."
        ) from error
