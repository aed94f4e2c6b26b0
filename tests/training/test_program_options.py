"""Settings become options of a command line: every program's, whatever their metadata holds."""

import logging
from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

import diffusers
import pytest
import transformers
from diffusers import UNet2DConditionModel

from segdemo.checkpoints.registry import ASSETS
from segdemo.datatypes import InputError
from training.diffdis.settings import DiffDISTraining
from training.diffegg.settings import DiffEGGSettings
from training.loop.settings import SETTINGS_FILE, Settings, check_resumed, write_settings
from training.panoptic.predict import PredictSettings
from training.panoptic.settings import PanopticSettings
from training.program import SettingsParser, run_program
from training.pseudo_edges.settings import PseudoEdgeSettings
from training.small.compact.autoencoder import AutoencoderSettings
from training.small.compact.one_step_prompting import OneStepSettings
from training.small.compact.prompting import PromptingSettings
from training.small.compact.subject import SubjectSettings
from training.small.settings import SmallSettings


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run where programs may make their folders."""
    monkeypatch.chdir(tmp_path)


PROGRAMS = [
    DiffDISTraining,
    DiffEGGSettings,
    PanopticSettings,
    PredictSettings,
    PseudoEdgeSettings,
    SmallSettings,
    AutoencoderSettings,
    OneStepSettings,
    PromptingSettings,
    SubjectSettings,
]


@pytest.mark.parametrize("settings", PROGRAMS)
def test_every_setting_has_an_option_with_help_and_every_number_a_range(
    settings: type[Settings],
) -> None:
    text, types = SettingsParser(settings).format_help(), get_type_hints(settings)
    for name, entry in ((entry.name, entry) for entry in fields(settings)):
        assert f"--{name}" in text
        assert entry.metadata["help"]
        if types[name] in (int, float, list[int], list[float]):
            assert {"minimum", "maximum"} & entry.metadata.keys(), name


def test_settings_that_may_change_are_not_compared_and_new_ones_neither() -> None:
    first = DiffDISTraining(data_dir="a", learning_rate=1e-3)
    second = DiffDISTraining(data_dir="b", learning_rate=1e-4, workers=2)
    old = first.fixed()
    del old["clip"]  # as if it were added since
    with pytest.raises(InputError) as refused:
        check_resumed(old, second.fixed(), "run")
    assert "--learning_rate 0.001, now 0.0001" in str(refused.value)
    assert "workers" not in str(refused.value) and "data_dir" not in str(refused.value)


def test_what_a_run_writes_can_be_read_back_and_the_command_line_wins(tmp_path: Path) -> None:
    written = SmallSettings(
        material_dir="m", output_dir="o", stages=["prior", "diffdis"], learning_rate=1e-3, minutes=2
    )
    write_settings(written, tmp_path)
    config = ["--config", str(tmp_path / SETTINGS_FILE)]
    read: list[Settings] = []
    assert run_program(read.append, SmallSettings, config, None) == 0
    assert run_program(read.append, SmallSettings, [*config, "--learning_rate", "2e-3"], None) == 0
    assert read[0] == written
    assert read[1].learning_rate == 2e-3 and read[1].minutes == 2


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("learning_rat: 1", "'learning_rat' is no setting of this program (did you mean learning_"),
        ("max_steps: many", "max_steps 'many' is not of the right kind"),
        ("max_steps: 2.5", "max_steps 2.5 is not of the right kind"),
        ("stages: prior", "give a list"),
        ("learning_rate: -1", "learning_rate -1.0 is outside"),
        ("- 1", "write one setting a line"),
        ("{", "is not readable YAML"),
    ],
)
def test_a_config_that_does_not_work_is_one_sentence(
    text: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(text)
    arguments = ["--material_dir", "m", "--output_dir", "o", "--config", str(file)]
    assert run_program(lambda settings: None, SmallSettings, arguments, None) == 2
    error = capsys.readouterr().err
    assert sentence in error and "Traceback" not in error and error.count("\n") == 1


def test_two_programs_do_not_write_to_one_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--material_dir", "m", "--output_dir", str(tmp_path / "run")]
    second: list[int] = []

    def first(settings: Settings) -> None:
        second.append(run_program(lambda settings: None, SmallSettings, arguments, None))

    assert run_program(first, SmallSettings, arguments, None) == 0
    assert second == [2] and "Another run is writing to" in capsys.readouterr().err


def test_libraries_say_nothing_of_their_own(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def load(settings: Settings) -> None:
        UNet2DConditionModel.from_pretrained(ASSETS / "small" / "prior")  # four shards, half floats
        logging.getLogger("huggingface_hub.serialization").warning("saved in 4 shards")
        for library in (diffusers, transformers):
            library.utils.logging.get_logger(f"{library.__name__}.x").warning("torchvision")
            list(library.utils.logging.tqdm(range(2)))

    assert run_program(load, SmallSettings, ["--material_dir", "m"], None) == 0
    assert capfd.readouterr() == ("", "")
