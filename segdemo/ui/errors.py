"""Errors as one sentence each, whatever went wrong."""

from __future__ import annotations

import contextlib
import html
import logging
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import gradio as gr

from segdemo.datatypes import InputError

TOAST_SECONDS = 12
UNEXPECTED = (
    "Something went wrong inside segdemo; the server's log says what. Try again, or try another "
    "photo or a smaller working size."
)

ABSOLUTE = re.compile(r"""(?<![^\s'"(])([A-Za-z]:)?[\\/]([^\s'"\\/:]+[\\/])*(?=[^\s\\/])""")

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
        raise toast(public_words(error)) from error
    except Exception as error:
        logger.exception("unexpected error in a handler")
        raise toast(UNEXPECTED) from error


def public_words(error: InputError) -> str:
    """Return an error's sentence for visitors; the log keeps what was taken out of it."""
    words = without_folders(str(error))
    if words != str(error):
        logger.warning("%s", error)
    return words


def without_folders(sentence: str) -> str:
    """Keep the names of files in a sentence, without the folders of this machine before them."""
    for folder in (Path.home(), Path(tempfile.gettempdir())):  # whose names may hold spaces
        sentence = sentence.replace(f"{folder}{os.sep}", "/")
    return ABSOLUTE.sub("", sentence)


def toast(sentence: str) -> gr.Error:
    """Return the error to raise; escaped, for toasts render HTML and file names may hold some."""
    escaped = html.escape(sentence, quote=False)
    return gr.Error(escaped, duration=TOAST_SECONDS, print_exception=False)


def say(sentence: str) -> None:
    """Tell the visitor something that is no error, as a toast."""
    gr.Info(html.escape(sentence, quote=False), duration=TOAST_SECONDS)
