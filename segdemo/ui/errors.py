"""Errors as one sentence each, whatever went wrong."""

from __future__ import annotations

import contextlib
import html
import logging
from collections.abc import Iterator

import gradio as gr

from segdemo.datatypes import InputError

TOAST_SECONDS = 12
UNEXPECTED = (
    "Something went wrong inside segdemo; the server's log says what. Try again, or try another "
    "photo or a smaller working size."
)

logger = logging.getLogger(__name__)


class Stopped(Exception):
    """The user pressed Stop."""


@contextlib.contextmanager
def user_errors() -> Iterator[None]:
    """Turn whatever goes wrong inside into a toast of one sentence; the server lives on."""
    try:
        yield
    except (gr.Error, Stopped):
        raise
    except InputError as error:
        raise toast(str(error)) from error
    except Exception as error:
        logger.exception("unexpected error in a handler")
        raise toast(UNEXPECTED) from error


def toast(sentence: str) -> gr.Error:
    """Return the error to raise; escaped, for toasts render HTML and file names may hold some."""
    escaped = html.escape(sentence, quote=False)
    return gr.Error(escaped, duration=TOAST_SECONDS, print_exception=False)
