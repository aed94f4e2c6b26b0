"""Errors become one sentence; Stop reaches the thread that works."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
import pytest

from segdemo.datatypes import InputError
from segdemo.ui.errors import UNEXPECTED, Stopped, user_errors, without_folders
from segdemo.ui.events import StopSignal
from segdemo.ui.uploads import Upload


def test_an_input_error_becomes_a_toast_that_shows_markup_as_text() -> None:
    with pytest.raises(gr.Error) as caught, user_errors():
        raise InputError("<img src=x>.png is no picture")
    assert caught.value.message == "&lt;img src=x&gt;.png is no picture"
    assert caught.value.duration >= 8


def test_an_unexpected_error_is_logged_and_told_without_its_details(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(gr.Error, match=UNEXPECTED), user_errors():
        raise KeyError("secret")
    assert "secret" in caplog.text


def test_a_pressed_stop_raises_at_the_next_pass_and_not_after_clearing() -> None:
    stop = StopSignal()
    stop.checked(0, 2)
    stop.press()
    with pytest.raises(Stopped):
        stop.checked(1, 2)
    stop.clear()
    stop.checked(1, 2)


def test_a_photo_that_is_heard_of_after_the_work_on_it_does_not_stop_it() -> None:
    stop = StopSignal()
    photo, other = (Upload(path=f"/tmp/{name}.jpg", orig_name=None) for name in "ab")
    stop.clear(photo)
    assert not stop.press_for_new(photo)
    stop.check()
    for new in (other, None):
        stop.clear(photo)
        assert stop.press_for_new(new)
        with pytest.raises(Stopped):
            stop.check()


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("/srv/models/sd/unet/config.json is missing.", "config.json is missing."),
        ("No model '/srv/models/sd': give a folder.", "No model 'sd': give a folder."),
        (f"{Path.home()}/models/sd lacks a file.", "sd lacks a file."),
        (r"C:\models\sd is not a folder.", "sd is not a folder."),
        ("Give PNG, JPEG and/or a Hub id a/b (https://hub/a/b).", None),
        ("1 / 2 of a.png", None),
    ],
)
def test_messages_name_files_without_the_folders_of_this_machine(
    sentence: str, shown: str | None
) -> None:
    assert without_folders(sentence) == (sentence if shown is None else shown)
