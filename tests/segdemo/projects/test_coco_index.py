"""A large COCO JSON is gone through once, item by item, and kept as text by image."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segdemo.projects.coco_index import boxes_of, masks_of, take_apart
from segdemo.projects.json_items import Item, decode_json, items

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
SQUARE = [[5, 5, 15, 5, 15, 15, 5, 15]]


def seen(text: str) -> Iterator[Item]:
    return items(text, ("images", "annotations"))


@settings(max_examples=25, deadline=None)
@given(
    st.fixed_dictionaries({"images": st.lists(JSON, max_size=4), "info": JSON}),
    st.sampled_from([None, 2]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_the_items_are_those_of_the_parsed_file(
    content: dict[str, Any], indent: int | None, encoding: str
):
    text = json.dumps(content, indent=indent, ensure_ascii=False)
    text = decode_json(text.encode(encoding, "surrogatepass"))
    found = list(seen(text))
    assert [one.value for one in found if one.key == "images"] == content["images"]
    assert [one.value for one in found if one.key == "info"] == [content["info"]]
    assert all(json.loads(text[one.start : one.end]) == one.value for one in found)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"a": 1', '{"a" 1}', '{"images": [1, 2', '{"a": 1} 2', "{1: 2}", '{"a":'],
)
def test_a_damaged_file_is_refused(text: str):
    with pytest.raises(ValueError):
        list(seen(text))


def image(number: int, name: str) -> dict[str, Any]:
    return {"id": number, "file_name": name, "width": 50, "height": 40}


def test_annotations_may_come_before_their_images():
    text = json.dumps(
        {
            "annotations": [
                {"image_id": 1, "category_id": 3, "segmentation": SQUARE},
                {"image_id": "2", "category_id": 3, "bbox": [1, 2, 3, 4]},
                {"image_id": 2.0, "category_id": 3, "bbox": [1, 2, 0, 4]},
                {"image_id": 9, "segmentation": SQUARE},
                "no annotation",
            ],
            "categories": [{"id": 3, "name": "cat"}],
            "images": [image(1, "a.png"), image(2, "b.png"), image(3, "c.png"), {"id": 4}],
        }
    )
    index = take_apart(text, ["a.png", "b.png", "c.png"], "all.json")
    assert index is not None
    parts = dict(index.parts())
    assert {name: (one.masks, one.boxes) for name, one in parts.items()} == {
        "a.png": (1, 0),
        "b.png": (0, 1),
    }
    found, notes = masks_of(
        json.loads(parts["a.png"].text), index.categories, "a.png", (40, 50), "all.json"
    )
    assert found is not None and not notes
    assert int(next(iter(found.masks)).sum()) == 100
    assert boxes_of(json.loads(parts["b.png"].text), index.categories) == [((1, 2, 4, 6), "cat")]
    assert sorted(index.said) == [
        "all.json: 1 images without id or file_name were left out.",
        "all.json: 2 annotations of other images were left out.",
    ]


@pytest.mark.parametrize(
    "content",
    [
        [{"image_id": 1, "segmentation": SQUARE}],
        {"images": [image(1, "a.png")], "annotations": []},
        {"images": [image(1, "a.png")], "annotations": [{"image_id": 1, "segments_info": []}]},
        {"annotations": [{"image_id": 1, "segmentation": SQUARE}]},
        {"shapes": [], "imagePath": "a.png"},
    ],
)
def test_what_is_not_coco_of_instances_is_left_to_other_readers(content: Any):
    assert take_apart(json.dumps(content), ["a.png"], "all.json") is None
