"""Boxes and clicks as browsers and programs send them."""

from __future__ import annotations

import numpy as np

from segdemo.datatypes import FloatMap, InputError
from segdemo.prompting.prompts import Prompt

MOST_CLICKS = 200  # that one mask may take


def read_prompt(box: object, clicks: object, mask: FloatMap | None = None) -> Prompt:
    """Read left, top, right, bottom and clicks of x, y, 1 (on the object) or 0 (beside it).

    Raises InputError.
    """
    try:
        corners = None if box is None else np.asarray(box, float).reshape(4)
        each = np.asarray(clicks or np.zeros((0, 3)), float)[:MOST_CLICKS].reshape(-1, 3)
    except (TypeError, ValueError) as error:
        raise InputError(
            "A box is four numbers (left, top, right, bottom), a click three (x, y, and 1 on the "
            "object or 0 beside it)."
        ) from error
    return Prompt(corners, each[:, :2], each[:, 2] > 0, mask)
