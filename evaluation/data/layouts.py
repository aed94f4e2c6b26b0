"""Where the data sets of the papers keep their objects, by the names people unpack them under."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluation.data.files import read_list
from evaluation.data.instance_readers import IdCoding
from segdemo.datatypes import InputError
from segdemo.plugins import added, plugins


@dataclass(frozen=True)
class Layout:
    """One data set.

    section: what reports and papers' rows call it. places: where the truth may lie below the root,
    the first that exists counts. lists: files that name the images, if it has such. note: what
    readers of its figures must know. maps: how label maps name objects. limits: of
    predictions an image, beside COCO's.
    """

    section: str
    places: Sequence[str]
    lists: Sequence[str] = ()
    note: str = ""
    maps: IdCoding = "ids"
    limits: Sequence[int] = ()


@dataclass(frozen=True)
class TruthLocation:
    """Where a data set's truth lies; names: the images wanted, None for all; see `Layout`."""

    section: str
    path: Path
    names: list[str] | None
    note: str
    maps: IdCoding
    limits: Sequence[int] = ()


LAYOUTS = {
    "voc2012": Layout(
        "VOC2012",
        ("SegmentationObject", "VOCdevkit/VOC2012/SegmentationObject"),
        ("ImageSets/Segmentation/val.txt", "VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt"),
        "VOC's borders (255) belong to no object",
        maps="voc",
    ),
    "coco2014": Layout(
        "COCO2014", ("annotations/instances_val2014.json", "instances_val2014.json")
    ),
    "coco20k": Layout(
        "COCO2014",
        (
            "annotations/coco20k_trainval_gt.json",
            "coco20k_trainval_gt.json",
            "annotations/instances_train2014.json",
            "instances_train2014.json",
        ),
        note="COCO-20K, part of train2014: what the papers' column COCO2014 most likely holds",
    ),
    "coco2017": Layout(
        "COCO2017",
        (
            "annotations/instances_val2017.json",
            "instances_val2017.json",
            "annotations/coco_cls_agnostic_instances_val2017.json",
        ),
    ),
    "lvis": Layout(
        "LVIS",
        (
            "annotations/lvis_v1_val.json",
            "lvis_v1_val.json",
            "annotations/lvis1.0_cocofied_val_cls_agnostic.json",
            "lvis1.0_cocofied_val_cls_agnostic.json",
        ),
        note="masks, boxes and outlines are class-agnostic and not federated: what nobody "
        "annotated counts as a mistake",
        limits=(300,),
    ),
    "kitti": Layout(
        "KITTI",
        (
            "training/instance",
            "instance",
            "training/label_2",
            "label_2",
            "annotations/trainval_cls_agnostic.json",
            "trainval_cls_agnostic.json",
        ),
        note="most of KITTI has boxes only: the papers' AP^mk on it is most likely box AP",
        maps="class and instance",
    ),
    "objects365": Layout(
        "Objects365",
        (
            "annotations/objects365_16-40.json",
            "objects365_16-40.json",
            "annotations/zhiyuan_objv2_val_cls_agnostic.json",
            "annotations/zhiyuan_objv2_val.json",
            "zhiyuan_objv2_val.json",
        ),
        note="Objects365 has boxes only: the papers' AP^mk on it is most likely box AP",
    ),
    "sa1b": Layout(
        "SA-1B",
        ("annotations/sa1b.json", "sa1b.json", "."),
        note="many images hold more than 100 objects, so AR100 cannot be high",
        limits=(300, 1000),
    ),
}


def layouts() -> dict[str, Layout]:
    """Return the data sets by name, a plugin's last."""
    return added(LAYOUTS, plugins().data_sets)


PANOPTIC_SECTIONS = {"voc2012": "VOC2012", "coco2017": "COCO2017"}


def find_truth(path: Path, dataset: str | None, subset: Path | None) -> TruthLocation:
    """Find a data set's truth; raises InputError, which lists where it was looked for.

    path: the truth itself, or the root of a data set. dataset: one of `layouts`, or None for plain
    annotations. subset: a text with the names or ids wanted; the data set's own list by default.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist: check the path.")
    if dataset is None:
        names = None if subset is None else read_list(subset)
        return TruthLocation(path.stem if path.is_file() else path.name, path, names, "", "ids")
    layout = layouts()[dataset]
    place = path
    if path.is_dir():
        below = [path / place for place in layout.places if (path / place).exists()]
        if below:
            place = below[0]
        elif not _holds_files(path):
            raise InputError(
                f"{path} holds none of {', '.join(layout.places)}: give {layout.section}'s root or "
                "the truth itself."
            )
    lists = [subset] if subset else [path / name for name in layout.lists]
    listed = next((name for name in lists if name.is_file() or name is subset), None)
    names = None if listed is None else read_list(listed)
    return TruthLocation(layout.section, place, names, layout.note, layout.maps, layout.limits)


def _holds_files(folder: Path) -> bool:
    return any(file.is_file() for file in folder.iterdir())
