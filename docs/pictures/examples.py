"""Make the example photos again from the packages that they come with.

python -m docs.pictures.examples [--gcompris /usr/share/gcompris-qt/rcc]

Writes segdemo/assets/examples: the photos, the hens' instances (for Inspect), two of them in one
mask and an edge between them (for Refine), and LICENSES.md.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter
from pycocotools import mask as mask_api

from docs.pictures.photos import GCOMPRIS, PHOTOS, Photo, photo
from segdemo.boundaries import label_boundaries

FOLDER = Path(__file__).parents[2] / "segdemo" / "assets" / "examples"
SIDE = 900  # pixels of a photo's longer side at most
QUALITY = 76
EDGE_BLUR = 1.0  # pixels

# The page shows them in the order of their names.
EXAMPLES = ("bison", "dog", "hedgehog", "polar_bear", "scarlet_macaw", "sheep")

# Outlines of the four hens, drawn by hand: (x, y) in pixels, from left to right.
# fmt: off
HENS = (
    ((117, 123), (119, 138), (135, 141), (155, 147), (170, 158), (176, 175), (182, 195), (190, 235),
     (205, 257), (215, 275), (220, 310), (217, 350), (213, 385), (215, 420), (205, 455), (195, 475),
     (172, 482), (172, 513), (157, 513), (150, 498), (118, 502), (107, 518), (98, 508), (95, 497),
     (75, 482), (55, 470), (43, 445), (42, 415), (47, 395), (55, 385), (55, 350), (55, 315),
     (62, 285), (72, 262), (82, 245), (88, 225), (95, 205), (93, 190), (78, 190), (78, 180),
     (86, 172), (82, 155), (87, 145), (95, 138), (105, 128)),
    ((504, 73), (513, 95), (519, 118), (525, 125), (541, 155), (555, 185), (562, 200), (565, 230),
     (556, 245), (549, 262), (543, 280), (542, 300), (533, 325), (529, 345), (526, 362), (505, 363),
     (490, 370), (478, 385), (473, 392), (474, 438), (464, 440), (466, 398), (455, 402), (443, 418),
     (439, 435), (443, 455), (435, 475), (434, 508), (418, 503), (403, 475), (400, 462), (397, 440),
     (390, 420), (383, 395), (376, 360), (372, 330), (372, 300), (380, 278), (395, 255), (415, 232),
     (438, 218), (440, 195), (448, 180), (465, 155), (475, 140), (483, 138), (492, 100)),
    ((645, 123), (650, 140), (655, 165), (660, 190), (659, 207), (685, 205), (702, 208), (703, 220),
     (709, 232), (717, 242), (716, 250), (697, 248), (693, 265), (685, 275), (672, 275), (676, 295),
     (688, 315), (693, 345), (694, 375), (690, 395), (684, 420), (672, 435), (668, 455), (655, 470),
     (642, 473), (643, 515), (650, 530), (636, 555), (630, 535), (618, 524), (630, 512), (632, 473),
     (615, 472), (600, 462), (576, 460), (577, 505), (590, 525), (565, 525), (565, 500), (566, 460),
     (558, 460), (545, 445), (533, 430), (527, 415), (520, 428), (511, 425), (513, 410), (523, 395),
     (524, 375), (527, 358), (530, 340), (535, 320), (542, 302), (545, 275), (552, 255), (562, 240),
     (567, 222), (578, 205), (592, 195), (600, 185), (612, 168), (620, 155), (632, 135)),
    ((803, 131), (812, 145), (817, 170), (820, 195), (828, 210), (845, 230), (862, 250), (870, 275),
     (878, 298), (905, 310), (925, 325), (945, 345), (960, 370), (967, 395), (968, 430), (975, 460),
     (980, 500), (985, 530), (994, 540), (993, 570), (988, 590), (978, 595), (975, 605), (967, 600),
     (963, 588), (950, 582), (940, 570), (932, 557), (925, 553), (900, 545), (880, 535), (860, 520),
     (838, 505), (825, 505), (823, 517), (812, 528), (820, 545), (825, 560), (815, 558), (803, 535),
     (790, 522), (780, 500), (765, 480), (750, 458), (738, 438), (722, 425), (716, 400), (705, 388),
     (703, 370), (715, 350), (720, 335), (735, 320), (734, 290), (736, 265), (745, 240), (752, 225),
     (757, 205), (758, 185), (765, 165), (778, 150), (792, 138)),
)
# fmt: on
# red, green, blue of the background and of each hen
PALETTE = (0, 0, 0, 86, 180, 233, 230, 159, 0, 0, 158, 115, 240, 228, 66)
MERGED = ((1,), (2, 3), (4,))  # ids that share a mask: the two hens in the middle touch


def main() -> None:
    """Write the folder of examples."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument(
        "--gcompris",
        type=Path,
        default=GCOMPRIS,
        help="folder rcc of the Debian package gcompris-qt-data (default: %(default)s)",
    )
    gcompris = parser.parse_args().gcompris
    instances = FOLDER / "instances"
    instances.mkdir(parents=True, exist_ok=True)
    for name in EXAMPLES:
        save_photo(photo(name).open(gcompris), FOLDER / f"{name}.jpg", SIDE)
    hens = photo("chicken").open(gcompris)
    save_photo(hens, instances / "hens.jpg", max(hens.size))  # the outlines' pixels
    labels = draw_labels(hens.size)
    coloured = Image.fromarray(labels, "P")  # numbers alone look black where they are shown
    coloured.putpalette(PALETTE)
    coloured.save(instances / "hens_instances.png", optimize=True)
    draw_edge(labels).save(instances / "hens_edge.png", optimize=True)
    merged = json.dumps(merged_masks(labels, "hens.jpg"))
    (instances / "hens_merged.json").write_text(merged + "\n")
    (FOLDER / "LICENSES.md").write_text(licences())


def save_photo(image: Image.Image, file: Path, side: int) -> None:
    """Save a photo as JPEG, its longer side at most `side` pixels."""
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    image.save(file, quality=QUALITY, optimize=True, progressive=True)


def draw_labels(size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Draw the hens' label map, (H, W), 0 for the background. size: width and height."""
    plane = Image.new("L", size)
    for number, outline in enumerate(HENS, start=1):
        ImageDraw.Draw(plane).polygon(outline, fill=number)
    return np.asarray(plane)


def draw_edge(labels: npt.NDArray[np.uint8]) -> Image.Image:
    """Draw every outline white on black, blurred a little."""
    outline = label_boundaries(labels).astype(np.uint8) * 255
    return Image.fromarray(outline).filter(ImageFilter.GaussianBlur(EDGE_BLUR))


def merged_masks(labels: npt.NDArray[np.uint8], file_name: str) -> dict[str, object]:
    """Return COCO JSON in which the two touching hens share one mask."""
    annotations = []
    for number, members in enumerate(MERGED, start=1):
        run_lengths = mask_api.encode(np.asfortranarray(np.isin(labels, members).astype(np.uint8)))
        annotations.append(
            {
                "id": number,
                "image_id": 1,
                "category_id": 1,
                "segmentation": {
                    "size": [int(side) for side in run_lengths["size"]],
                    "counts": run_lengths["counts"].decode(),
                },
                "bbox": [float(value) for value in mask_api.toBbox(run_lengths)],
                "area": int(mask_api.area(run_lengths)),
                "iscrowd": 0,
            }
        )
    height, width = labels.shape
    image = {"id": 1, "file_name": file_name, "width": width, "height": height}
    categories = [{"id": 1, "name": "hen"}]
    return {"images": [image], "annotations": annotations, "categories": categories}


def licences() -> str:
    """Write who made each picture of this repository, and under which terms it is here."""
    names = {name: f"{name}.jpg" for name in EXAMPLES}
    names["chicken"] = "instances/hens.jpg"

    def row(one: Photo) -> str:
        file = names.get(one.name, "")
        return f"| {file} | {one.subject} | {one.author} | {one.licence} | {one.source} |"

    gcompris = [row(one) for one in PHOTOS if one.package == "gcompris-qt-data"]
    skimage = [row(one) for one in PHOTOS if one.package == "scikit-image"]
    head = ["| file here | shows | author | terms | source |", "|---|---|---|---|---|"]
    return "\n".join(
        [
            "# Photographs in this repository",
            "",
            "They come with two packages: `python -m docs.pictures.examples` makes the files again"
            " and writes this list. Those without a file here appear only in the contact sheet"
            " `docs/embedded_model.webp`. None was used to train the embedded models.",
            "",
            "## From GCompris (Debian package gcompris-qt-data 3.1)",
            "",
            "Authors and terms are stated in GCompris' source, in"
            " `src/activities/explore_world_animals/resource/animals/README` and in the same file"
            " of `explore_farm_animals`. (Debian's copyright file of this version still lists the"
            " photographs of an earlier GCompris.)",
            "",
            *head,
            *gcompris,
            "",
            "## From scikit-image",
            "",
            "The documentation of `skimage.data` states authors and terms.",
            "",
            *head,
            *skimage,
            "",
            "## Made from them",
            "",
            "`instances/hens_instances.png`, `hens_merged.json` and `hens_edge.png` are outlines"
            " that were drawn by hand for this project (MIT, like the code). The screenshots in"
            " `docs/` show these photographs.",
            "",
        ]
    )


if __name__ == "__main__":
    main()
