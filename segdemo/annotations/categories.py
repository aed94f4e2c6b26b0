"""The classes of several images, under numbers that mean the same in all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from segdemo.annotations.instance_runs import InstanceRuns
from segdemo.datatypes import InputError

CLASSLESS_NAME = "object"
"""What instances without a class are called in formats that ask for one."""


@dataclass(frozen=True)
class Categories:
    """names: what each number is called. classless: the number of instances without a class."""

    names: Mapping[int, str]
    classless: int

    @classmethod
    def of(cls, masks_by_name: Mapping[str, InstanceRuns]) -> Categories:
        """Gather the classes of images; numbers without a name are called `class 7`.

        Raises InputError where a number stands for different classes.
        """
        names: dict[int, str] = {}
        used: set[int] = set()
        for image, found in masks_by_name.items():
            for number, name in found.names.items():
                if names.setdefault(number, name) != name:
                    raise InputError(
                        f"{image}: category {number} is {name}, in other images "
                        f"{names[number]}: write them apart."
                    )
            if found.category_ids is not None:
                used.update(np.unique(found.category_ids).tolist())
        names |= {number: f"class {number}" for number in used - set(names)}
        known = [number for number, name in names.items() if name == CLASSLESS_NAME]
        classless = known[0] if known else 1 if 1 not in names else max(names) + 1
        if any(found.category_ids is None and len(found) for found in masks_by_name.values()):
            names[classless] = CLASSLESS_NAME
        return cls(dict(sorted(names.items())), classless)

    def number(self, found: InstanceRuns, i: int) -> int:
        """Return an instance's category."""
        return self.classless if found.category_ids is None else int(found.category_ids[i])

    def name(self, found: InstanceRuns, i: int) -> str:
        """Return what an instance's category is called."""
        return self.names[self.number(found, i)]

    def as_coco(self) -> list[dict[str, Any]]:
        """Return COCO's list of categories."""
        return [
            {"id": number, "name": name, "supercategory": ""} for number, name in self.names.items()
        ]
