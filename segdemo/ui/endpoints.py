"""Endpoints that take settings: a parameter for each field of a settings class."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

from segdemo.ui.errors import user_errors
from segdemo.ui.forms import read_settings

SETTINGS = "settings"


def with_settings(
    endpoint: Callable[..., Any], defaults: Any, first: Sequence[str]
) -> Callable[..., Any]:
    """Return an endpoint with a parameter for each setting in place of its `settings`.

    defaults: what a setting has that is not given; an instance of the settings class. first: the
    settings that stand where `settings` did. All others are the last parameters: endpoints are
    called by position too, so that a new setting must not move what was there before. Their ranges
    are checked inside of `user_errors`.
    """
    hints = typing.get_type_hints(endpoint)
    names = [entry.name for entry in fields(defaults)]
    own = list(inspect.signature(endpoint).parameters.values())
    place = [parameter.name for parameter in own].index(SETTINGS)
    made = {
        name: inspect.Parameter(
            name,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=getattr(defaults, name),
            annotation=_kind(getattr(defaults, name)),
        )
        for name in names
    }
    last = [made[name] for name in names if name not in first]
    parameters = [*own[:place], *(made[name] for name in first), *own[place + 1 :], *last]
    signature = inspect.Signature(parameters, return_annotation=hints["return"])

    @functools.wraps(endpoint)
    def called(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = dict(bound.arguments)
        values = {name: given.pop(name) for name in names}
        with user_errors():
            settings = read_settings(values, defaults)
        return endpoint(**given, settings=settings)

    # what Gradio reads
    called.__signature__ = signature  # type: ignore[attr-defined]
    kinds = {name: parameter.annotation for name, parameter in made.items()}
    called.__annotations__ = {n: k for n, k in hints.items() if n != SETTINGS} | kinds
    return called


def _kind(value: object) -> type:
    """Return the type that is told: of whole numbers any, since JSON has one kind of number."""
    return float if type(value) is int else type(value)
