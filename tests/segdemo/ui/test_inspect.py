"""The tab "Inspect" behind the page: its fields, its masks, what it keeps and shows."""

from __future__ import annotations

import base64
import zipfile

import numpy as np
import pytest
from PIL import Image

from segdemo.assistant import AnnotationAssistant
from segdemo.datatypes import InputError, KLCurve, PseudoEdge
from segdemo.diffegg.pseudo_edge import pseudo_edge
from segdemo.diffegg.settings import PAPER_TIMESTEPS, TraceSettings
from segdemo.ui.forms import read_settings
from segdemo.ui.inspect.instances import fitted, painted_size, read_drawing
from segdemo.ui.inspect.options import (
    read_timesteps,
    settings_words,
    spaced_text,
)
from segdemo.ui.inspect.traces import (
    Chosen,
    KeptTrace,
    discard_trace,
    export_trace,
    restored,
    score_of,
    trace_photo,
)
from segdemo.ui.inspect.values import (
    curves_value,
    discard_pinned,
    edge_value,
    pinned_run,
    rule_words,
)
from segdemo.ui.uploads import Upload

READERS = {"timesteps": read_timesteps}
STEPS = TraceSettings(timesteps=(900, 500, 100))


class TestFields:
    @pytest.mark.parametrize(
        ("text", "steps"),
        [
            ("999 899 799", (999, 899, 799)),
            (" 999,899; 799 ", (999, 899, 799)),
            ("999:99:10", PAPER_TIMESTEPS),
            ("900 : 100 : 3", (900, 500, 100)),
        ],
    )
    def test_timesteps_are_a_list_or_a_range(self, text: str, steps: tuple[int, ...]) -> None:
        assert read_timesteps(text) == steps

    @pytest.mark.parametrize(
        ("given", "sentence"),
        [
            ({"timesteps": ""}, "give whole numbers such as"),
            ({"timesteps": "999 many"}, "give whole numbers such as"),
            ({"timesteps": "999:99:1"}, "choose a count from 2"),
            ({"timesteps": " ".join(map(str, range(999, 800, -1)))}, "at most 100"),
            ({"timesteps": "999"}, "give at least 2"),
            ({"timesteps": "99 999"}, "must fall"),
            ({"seed": 0.5}, "Seed must be a whole number"),
            ({"seed": -1}, "Seed must be a whole number from 0 up"),
            ({"noise_draws": None}, "Draws of noise must be a whole number"),
            ({"size": 100}, "multiple of 64"),
            ({"border": "none"}, "choose one of clamp, zero"),
        ],
    )
    def test_a_bad_setting_is_named(self, given: dict[str, object], sentence: str) -> None:
        with pytest.raises(InputError, match=sentence):
            read_settings(given, TraceSettings(), READERS)

    def test_what_is_not_given_is_the_models_own(self) -> None:
        own = TraceSettings(size=512, fixed_timestep=99)
        read = read_settings({"timesteps": "900 500", "seed": 3}, own, READERS)
        assert read == TraceSettings((900, 500), size=512, seed=3, fixed_timestep=99)

    def test_start_stop_and_count_fill_the_list(self) -> None:
        assert spaced_text(900, 100, 3) == "900 500 100"
        for incomplete in ((None, 100, 3), (900, 100, 1)):
            assert spaced_text(*incomplete)["__type__"] == "update"

    def test_a_run_is_named_by_what_differs_from_the_defaults(self) -> None:
        assert settings_words(TraceSettings()) == "default settings"
        changed = TraceSettings(timesteps=(900, 500, 100), seed=3, layers="mid")
        assert settings_words(changed) == "3 steps 900 to 100, seed 3, layer filter mid"


class TestInstanceMasks:
    IDS = np.array([[0, 1, 1], [7, 7, 0]])

    def test_a_mask_is_fitted_to_the_photo_without_mixing_ids(self) -> None:
        larger = fitted(self.IDS, (4, 6), "mask.png")
        np.testing.assert_array_equal(larger, np.kron([[0, 1, 1], [2, 2, 0]], np.ones((2, 2))))
        np.testing.assert_array_equal(fitted(self.IDS + 1, (2, 3), "m")[0], [1, 2, 2])

    @pytest.mark.parametrize(
        ("labels", "sentence"),
        [
            (np.array([[1, 2], [1, 2]]), "is 2 x 2, the photo 3 x 2"),
            (np.zeros((2, 3), int), "holds no instance"),
            (np.array([[0, 1, 1]] * 2), "holds one instance"),
        ],
    )
    def test_a_mask_that_cannot_be_used_is_named(self, labels: np.ndarray, sentence: str) -> None:
        with pytest.raises(InputError, match=f"mask.png {sentence}"):
            fitted(labels, (2, 3), "mask.png")

    def test_a_drawing_arrives_as_its_ids_and_an_empty_one_as_none(self) -> None:
        labels = base64.b64encode(self.IDS.astype(np.uint8).tobytes()).decode()
        drawing = read_drawing(2, 3, labels)
        assert drawing is not None
        np.testing.assert_array_equal(drawing.label_map(), self.IDS)
        assert read_drawing(2, 3, base64.b64encode(bytes(6)).decode()) is None

    @pytest.mark.parametrize("wrong", [{"rows": 3}, {"columns": "x"}, {"labels": "?"}, {"rows": 0}])
    def test_a_damaged_drawing_is_refused(self, wrong: dict[str, object]) -> None:
        sent = {"rows": 2, "columns": 3, "labels": base64.b64encode(bytes(6)).decode()}
        with pytest.raises(InputError, match="draw again"):
            read_drawing(**(sent | wrong))

    def test_a_drawing_has_the_photos_shape(self) -> None:
        assert painted_size(4000, 3000) == (192, 256)
        assert painted_size(100, 50) == (50, 100)


class TestChosen:
    CURVE = KLCurve((900, 500, 100), (0.1, 0.3), 2, False)

    def test_peakkl_is_followed_until_a_step_is_chosen(self) -> None:
        chosen = Chosen()
        assert chosen.step_of(self.CURVE) == 2
        chosen.timestep = 500
        assert chosen.step_of(self.CURVE) == 1

    def test_the_nearest_step_stands_in_where_a_grid_lacks_the_chosen_one(self) -> None:
        chosen = Chosen()
        chosen.timestep = 850
        assert chosen.step_of(self.CURVE) == 0

    @pytest.mark.parametrize("pair", [(2.0, 1.0), (float("nan"), 1.0), (0.0, float("inf"))])
    def test_thresholds_that_are_no_pair_are_refused(self, pair: tuple[float, float]) -> None:
        with pytest.raises(InputError, match="lower threshold"):
            Chosen().cut(500, *pair)


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.kron(rng.integers(0, 255, (4, 6, 3)), np.ones((16, 16, 1))).astype(np.uint8)


def upload(name: str) -> Upload:
    return {"path": name, "orig_name": name}


@pytest.fixture(scope="module")
def kept(assistant: AnnotationAssistant, photo: np.ndarray) -> KeptTrace:
    instances = np.ones(photo.shape[:2], np.int64)
    instances[:, 48:] = 2
    *_, last = trace_photo(assistant, photo, upload("my beach.jpg"), STEPS, instances)
    return last


class TestKept:
    def test_a_trace_grows_step_by_step(
        self, assistant: AnnotationAssistant, photo: np.ndarray
    ) -> None:
        counts = [
            (len(kept.curve.timesteps), len(kept.curve.gaps))
            for kept in trace_photo(assistant, photo, upload("beach.jpg"), STEPS)
        ]
        assert counts == [(1, 0), (2, 1), (3, 2)]

    def test_what_was_kept_is_what_the_assistant_gave(
        self, assistant: AnnotationAssistant, photo: np.ndarray, kept: KeptTrace
    ) -> None:
        *_, given = assistant.trace(photo, STEPS)
        trace = restored(kept)
        assert (trace.curve.timesteps, trace.layers, trace.size) == (
            given.curve.timesteps,
            given.layers,
            given.size,
        )
        assert trace.curve.gaps == given.curve.gaps
        for mine, theirs in zip(trace.steps, given.steps, strict=True):
            np.testing.assert_array_equal(mine.picture, theirs.picture)
            np.testing.assert_array_equal(mine.edge_score, theirs.edge_score)
            np.testing.assert_array_equal(mine.attention, theirs.attention)
            assert mine.attention_ratio is not None and theirs.attention_ratio is None

    def test_the_chart_names_the_pair_that_peakkl_chose(self, kept: KeptTrace) -> None:
        value = curves_value(kept, None)
        assert value is not None
        run = value["run"]
        assert run["gaps"][run["peak_pair"]] == max(run["gaps"])
        assert run["timesteps"][run["peak_pair"] + 1] == run["peak_timestep"]
        picture = Image.open(run["pictures"][0]["path"])
        assert picture.size == score_of(kept, 0).shape[::-1]

    def test_a_pinned_run_keeps_its_pictures_when_its_trace_is_gone(
        self, assistant: AnnotationAssistant, photo: np.ndarray, kept: KeptTrace
    ) -> None:
        *_, other = trace_photo(assistant, photo, upload("beach.jpg"), STEPS)
        pinned = pinned_run(other)
        discard_trace(other)
        value = curves_value(kept, pinned)
        assert value is not None
        assert value["pinned"]["gaps"] == list(other.curve.gaps)
        assert value["pinned"]["name"] == "beach.jpg, 3 steps 900 to 100"
        for kind in ("pictures", "edges"):
            sizes = [Image.open(one["path"]).size for one in value["pinned"][kind]]
            assert sizes == [score_of(kept, 0).shape[::-1]] * 3
        discard_pinned(pinned)
        again = curves_value(kept, pinned)
        assert again is not None and again["pinned"]["pictures"] == []
        with pytest.raises(InputError, match="press Run again"):
            pinned_run(other)

    def test_a_marked_cell_shows_its_own_attention_at_the_shown_step(self, kept: KeptTrace) -> None:
        chosen = Chosen()
        chosen.pick(500)
        chosen.mark(0.4, 0.8)
        value = curves_value(kept, None, chosen)
        assert value is not None
        cell, attention = value["cell"], restored(kept).steps[1].attention
        height, width = attention.shape[:2]
        wanted = attention[int(0.8 * height), int(0.4 * width)].astype(np.float32)
        shown = np.frombuffer(base64.b64decode(cell["attention"]), np.uint8)
        assert (cell["timestep"], cell["rows"], cell["columns"]) == (500, *wanted.shape)
        stretched = (wanted - wanted.min()) / (wanted.max() - wanted.min())
        np.testing.assert_allclose(shown / 255, stretched.ravel(), atol=0.003)
        chosen.mark(None, None)
        assert (curves_value(kept, None, chosen) or {})["cell"] is None
        with pytest.raises(InputError, match="inside the photo"):
            chosen.mark(1.0, 0.5)

    def test_edge_pictures_are_brightest_where_the_score_is_highest(self, kept: KeptTrace) -> None:
        value = curves_value(kept, None)
        assert value is not None
        picture = np.asarray(Image.open(value["run"]["edges"][2]["path"]))
        score = score_of(kept, 2)
        assert picture.ravel()[score.argmax()] == 255
        order = score.ravel().argsort()
        assert (np.diff(picture.ravel()[order].astype(int)) >= 0).all()

    def test_the_edge_is_the_shown_steps_and_its_score_arrives_exactly(
        self, kept: KeptTrace
    ) -> None:
        chosen = Chosen()
        chosen.timestep = 900
        value = edge_value(kept, chosen, "mean")
        assert value is not None
        score = np.frombuffer(base64.b64decode(value["score"]), "<f4")
        np.testing.assert_array_equal(score, score_of(kept, 0).ravel())
        assert value["timestep"] == 900
        assert value["lower"] == pytest.approx(float(score.mean()))
        assert value["by_hand"] is None
        chosen.cut(900, 0.1, 0.2)
        again = edge_value(kept, chosen, "mean")
        assert again is not None and again["by_hand"] == (0.1, 0.2)
        assert again["lower"] == value["lower"]  # the way back

    def test_an_export_holds_the_edge_that_was_cut_by_hand(self, kept: KeptTrace) -> None:
        chosen = Chosen()
        chosen.timestep = 500
        median = float(np.median(score_of(kept, 1)))
        chosen.cut(500, median, median)
        files = export_trace(kept, chosen, "paper")
        assert files.arrays.name == "my beach_trace.npz"
        with np.load(files.arrays) as arrays:
            assert arrays["shown_timestep"] == 500
            assert arrays["upper"] == median
            assert '"fixed_timestep": 500' in str(arrays["settings"])
            np.testing.assert_array_equal(
                arrays["labels"] == PseudoEdge.EDGE, score_of(kept, 1) > median
            )
        header = "timestep,next_timestep,gap,own_other"
        assert files.table.read_text().splitlines()[0] == header
        names = zipfile.ZipFile(files.archive).namelist()
        assert {"my beach/trace.npz", "my beach/pca_500.png", "my beach/kl_curve.png"} <= set(names)

    def test_what_was_tidied_away_is_said(
        self, assistant: AnnotationAssistant, photo: np.ndarray
    ) -> None:
        *_, kept = trace_photo(assistant, photo, upload("beach.jpg"), STEPS)
        discard_trace(kept)
        with pytest.raises(InputError, match="press Run again"):
            edge_value(kept, Chosen(), "paper")
        with pytest.raises(InputError, match="press Run again"):
            export_trace(kept, Chosen(), "paper")


def test_the_guard_is_told_when_it_stepped_in() -> None:
    score = np.array([[0.0, 0.0, 0.0, 9.0]], np.float32)
    guarded = pseudo_edge(score, "paper")
    assert "guard stepped in and rule quantile" in rule_words(guarded, "paper")
    assert "did not need to" in rule_words(pseudo_edge(score, "mean"), "mean")
