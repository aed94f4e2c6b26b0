"""Figures that the two papers print, where they are known here, to stand above our own.

DiffDIS (ICLR 2025) prints fractions, DiffEGG (arXiv 2503.07982) percent; both are kept as printed.
Figures that contradict others of the same paper are kept too, with the reason in `doubt`. What is
not known here is named in `MISSING`: no figure is guessed. Where the papers themselves were not at
hand, some rows come from others who print the same methods on the same data: `paper` and `table`
name them. DiffEGG's later version is called TRACE; its own rows differ from those of DiffEGG.

Metrics are called as our programs call them. DiffDIS measures binarised maps by an adaptive
E-measure; the rows of the other methods in its tables come from soft maps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class PaperRow:
    """One method's figures on one data set, as printed.

    program: which of ours measures the same. figures: metric -> value. doubt: why the paper
    contradicts itself here, or the figures may not be what they are taken for; empty if neither.
    """

    program: str
    paper: str
    table: str
    dataset: str
    method: str
    protocol: str
    figures: Mapping[str, float]
    doubt: str = ""

    @property
    def label(self) -> str:
        """Name of the row beside our own."""
        return f"{self.method} ({self.paper}, {self.table}; {self.protocol})"


BINARISED, SOFT = "binarised maps", "soft maps"
OVERALL = "Overall"  # the mean over DIS-TE1..4, without DIS-VD
COCO_20K = (
    "called COCO2014 with 41 thousand images, but the column repeats ProMerge's COCO-20K figures"
)
SEGM, PANOPTIC = "AP^mk, COCO style", "PQ of trained networks"


def rows_for(program: str, datasets: Iterable[str] | None = None) -> list[PaperRow]:
    """Return the papers' rows that `program` measures, of some data sets or of all."""
    wanted = None if datasets is None else set(datasets)
    return [r for r in ROWS if r.program == program and (wanted is None or r.dataset in wanted)]


def _dis(
    method: str, dataset: str, figures: Mapping[str, float], doubt: str = "", protocol: str = SOFT
) -> PaperRow:
    return PaperRow("dis", "DiffDIS", "Table 2", dataset, method, protocol, figures, doubt)


def _uis(method: str, dataset: str, figures: Mapping[str, float], doubt: str = "") -> PaperRow:
    return PaperRow("uis", "DiffEGG", "Table 1", dataset, method, SEGM, figures, doubt)


def _wps(method: str, dataset: str, figures: Mapping[str, float], doubt: str = "") -> PaperRow:
    return PaperRow("wps", "DiffEGG", "Table 2", dataset, method, PANOPTIC, figures, doubt)


def _elsewhere(
    program: str, paper: str, table: str, methods: tuple[str, ...], doubt: str = ""
) -> Callable[..., list[PaperRow]]:
    """Return a function of a data set and one value for each method, None where it has none."""
    metric, protocol = ("AP", SEGM) if program == "uis" else ("PQ", PANOPTIC)

    def rows(dataset: str, *values: float | None, also: str = doubt) -> list[PaperRow]:
        return [
            PaperRow(program, paper, table, dataset, method, protocol, {metric: value}, also)
            for method, value in zip(methods, values, strict=True)
            if value is not None
        ]

    return rows


def _table_f(metric: str, ap: float) -> PaperRow:
    method = f"edges by {metric}"
    return PaperRow("pipeline", "DiffEGG", "Table F", "Table F", method, SEGM, {"AP": ap})


def _parts(printed: float, expected: float) -> str:
    return f"printed PQ {printed}, things and stuff of the same row give {expected}"


def _mean(name: str, printed: float, expected: float) -> str:
    return f"printed {name} {printed:.3f}, the mean of DIS-TE1 to 4 is {expected:.3f}"


def _soft(
    paper: str, table: str, dataset: str, method: str, values: tuple[float, ...], doubt: str
) -> PaperRow:
    figures = dict(zip(("maxF", "wF", "meanE", "S", "MAE"), values, strict=True))
    return PaperRow("dis", paper, table, dataset, method, SOFT, figures, doubt)


BEN = ("BEN, arXiv 2501.06230", "its table of DIS-VD", "DIS-VD")
LIKE_DIFFDIS = "its row of DiffDIS is that of DiffDIS' Table 2, so this one most likely is too"
LISTED = ("MVANet, CVPR 2024", "as Papers with Code lists it")
ITS_OWN = "the method's own figures; those in DiffDIS' Table 2 were not seen"
_trace_uis = _elsewhere(
    "uis",
    "TRACE, arXiv 2503.07982v3",
    "its authors' README",
    ("MaskCut", "MaskCut + TRACE", "ProMerge", "ProMerge + TRACE", "CutLER", "CutLER + TRACE"),
)
_trace_wps = _elsewhere(
    "wps",
    "TRACE, arXiv 2503.07982v3",
    "its authors' README",
    ("Point2Mask, Swin-L", "EPLD, Swin-L", "DHR + TRACE, Swin-L", "Mask2Former, ResNet-50"),
)
_promerge = _elsewhere(
    "uis",
    "ProMerge, ECCV 2024",
    "its authors' README",
    ("MaskCut", "ProMerge", "CutLER", "ProMerge+"),
)
BOXES = "this data set has boxes only, so it is most likely the AP of boxes"

ROWS: tuple[PaperRow, ...] = (
    _dis(
        "DiffDIS",
        "DIS-VD",
        {"maxF": 0.918, "wF": 0.888, "adpE": 0.948, "S": 0.904, "MAE": 0.029},
        protocol=BINARISED,
    ),
    _dis(
        "DiffDIS",
        "DIS-TE1",
        {"maxF": 0.903, "wF": 0.862, "adpE": 0.933, "S": 0.891, "MAE": 0.030},
        protocol=BINARISED,
    ),
    _dis(
        "DiffDIS",
        OVERALL,
        {"maxF": 0.921, "wF": 0.892, "adpE": 0.947, "S": 0.905, "MAE": 0.028},
        _mean("E", 0.947, 0.951),
        protocol=BINARISED,
    ),
    _dis("MVANet", OVERALL, {"wF": 0.855}, _mean("wF", 0.855, 0.861)),
    _dis("IFA", OVERALL, {"S": 0.791}, _mean("S", 0.791, 0.799)),
    _dis("PGNet", OVERALL, {"S": 0.830}, _mean("S", 0.830, 0.822)),
    _uis("MaskCut", "VOC2012", {"AP": 5.8}),
    _uis("MaskCut", "COCO2014", {"AP": 3.0}, COCO_20K),
    _uis("CutLER", "COCO2014", {"AP": 8.9}, COCO_20K),
    _uis("ProMerge+", "COCO2014", {"AP": 9.0}, COCO_20K),
    _uis(
        "ProMerge+ + DiffEGG",
        "COCO2017",
        {"AR100": 25.8},
        "9 below its neighbours (35.1 and 33.9): most likely a slip for 35.8 or 33.8",
    ),
    _uis(
        "TokenCut",
        "SA-1B",
        {"AP": 1.0, "AR100": 0.3},
        "AP above AR: possible only by the 101 points of interpolation",
    ),
    _uis(
        "a base method + DiffEGG",
        "SA-1B",
        {"AP": 2.0, "AR100": 1.6},
        "AP above AR: possible only by the 101 points of interpolation",
    ),
    _wps("Ferret + SAM", "VOC2012", {"PQ": 58.6}, _parts(58.6, 62.5)),
    _wps("MARS", "VOC2012", {"PQ": 41.4}, _parts(41.4, 42.0)),
    _wps("DHR", "VOC2012", {"PQ": 45.0}, _parts(45.0, 45.4)),
    _wps("DHR + DiffEGG, Swin-L", "VOC2012", {"PQ": 63.9}, _parts(63.9, 64.2)),
    _wps("MARS", "COCO2017", {"PQ": 11.7}, _parts(11.7, 12.1)),
    _wps("MARS + DiffEGG", "COCO2017", {"PQ": 29.5}, _parts(29.5, 30.2)),
    _wps(
        "DHR",
        "COCO2017",
        {"PQ": 18.3, "RQ": 14.8},
        f"{_parts(18.3, 17.7)}; a PQ above its RQ is impossible",
    ),
    _wps("DHR + DiffEGG, Swin-L", "COCO2017", {"PQ": 37.5}, f"{_parts(37.5, 37.6)} (rounding)"),
    _soft(*BEN, "MVANet", (0.913, 0.856, 0.938, 0.905, 0.036), LIKE_DIFFDIS),
    _soft(*BEN, "BiRefNet", (0.897, 0.863, 0.937, 0.905, 0.036), LIKE_DIFFDIS),
    _soft(*BEN, "InSPyReNet", (0.889, 0.834, 0.914, 0.900, 0.042), LIKE_DIFFDIS),
    _soft(*LISTED, "DIS-TE1", "MVANet", (0.893, 0.823, 0.911, 0.879, 0.037), ITS_OWN),
    _soft(*LISTED, "DIS-TE2", "MVANet", (0.925, 0.874, 0.944, 0.915, 0.030), ITS_OWN),
    *_trace_uis("VOC2012", 5.8, 9.7, 5.0, 9.4, 11.2, 14.8),
    *_trace_uis("COCO2014", 3.0, 7.9, 3.1, 8.2, 8.9, 13.1, also=COCO_20K),
    *_trace_uis("COCO2017", 2.3, 7.5, 2.5, 7.8, 8.7, 12.8),
    *_trace_wps("VOC2012", 61.0, 68.5, 69.8, 73.6),
    *_trace_wps("COCO2017", 37.0, 41.0, 43.1, 51.9),
    *_promerge("COCO2017", 2.2, 2.4, 8.7, 8.9),
    *_promerge("LVIS", 0.9, 1.3, 3.4, 4.0),
    *_promerge("KITTI", 0.2, 0.3, 3.9, 5.4, also=BOXES),
    *_promerge("Objects365", 1.7, 2.2, 11.5, 12.2, also=BOXES),
    *_promerge("SA-1B", 0.8, 1.2, 5.5, 7.8),
    _table_f("KL", 9.4),
    _table_f("JSD", 9.2),
    _table_f("cosine", 8.3),
    _table_f("L2", 6.8),
)
"""Every figure of the papers' tables that is known here, and others' on the same data."""

MISSING: Mapping[str, str] = {
    "DiffDIS, Table 1": "all figures",
    "DiffDIS, Table 2": "DiffDIS on DIS-TE2 to 4; of the other methods all but the cells in doubt",
    "DiffDIS, Table 3": "all figures",
    "DiffDIS, Table 4": "all figures",
    "DiffDIS, Table 5": "all figures",
    "DiffEGG, Table 1": "all but its cells above; the mean of the twelve gains in AP is 4.42",
    "DiffEGG, Table 2": "all but its cells above; TRACE's are other figures",
    "DiffEGG, Table 3": "all figures",
    "DiffEGG, Table 4": "all figures",
    "DiffEGG, Table F": "all but AP by the edges' metric; times",
    "DiffEGG, Table G": "all but the averages of the gains, 5.06 and 8.7",
    "both papers": "page numbers",
}
"""What the papers print and this module does not hold: neither their text nor anything that quotes
these tables was at hand."""
