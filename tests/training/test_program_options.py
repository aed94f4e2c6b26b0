"""Settings become options of a command line: every program's, whatever their metadata holds."""

import pytest

from segdemo.datatypes import InputError
from training.diffdis.settings import DiffDISTraining
from training.diffegg.settings import DiffEGGSettings
from training.loop.settings import Settings, check_resumed
from training.program import SettingsParser
from training.pseudo_edges.settings import PseudoEdgeSettings
from training.small.settings import SmallSettings


@pytest.mark.parametrize(
    "settings", [DiffDISTraining, DiffEGGSettings, PseudoEdgeSettings, SmallSettings]
)
def test_every_setting_has_an_option_with_help(settings: type[Settings]) -> None:
    text = SettingsParser(settings).format_help()
    for name, entry in settings.__dataclass_fields__.items():
        assert f"--{name}" in text
        assert entry.metadata["help"]


def test_settings_that_may_change_are_not_compared_and_new_ones_neither() -> None:
    first = DiffDISTraining(data_dir="a", learning_rate=1e-3)
    second = DiffDISTraining(data_dir="b", learning_rate=1e-4, workers=2)
    old = first.fixed()
    del old["clip"]  # as if it were added since
    with pytest.raises(InputError) as refused:
        check_resumed(old, second.fixed(), "run")
    assert "--learning_rate 0.001, now 0.0001" in str(refused.value)
    assert "workers" not in str(refused.value) and "data_dir" not in str(refused.value)
