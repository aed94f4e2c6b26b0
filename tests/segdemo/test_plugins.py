"""Packages add things by entry points; one that is broken is named and stops nothing."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from segdemo.datatypes import InputError
from segdemo.plugins import GROUP, MaskFileFormat, added, call_plugin, forget_plugins, plugins

EXAMPLE = Path(__file__).parents[2] / "docs" / "example_plugin"


def install(folder: Path, name: str, entries: dict[str, str]) -> None:
    """Write what pip writes of a package's entry points."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [f"[{GROUP}]", *(f"{key} = {value}" for key, value in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines))


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with the example of the docs, and with packages that do not work."""
    folder = tmp_path / "site"
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    install(folder, project["name"], project["entry-points"][GROUP])
    for file in EXAMPLE.glob("*.py"):
        (folder / file.name).write_text(file.read_text())
    install(folder, "broken", {"absent": "no_such_module:register", "falls": "broken:fall"})
    install(folder, "wrong", {"wrong": "broken:wrong", "taken": "broken:taken"})
    (folder / "broken.py").write_text(
        "def fall(plugins): raise SystemExit('not today\\nat all')\n"
        "def wrong(plugins): plugins.backbones['good'] = print; plugins.prompters['bad'] = 3\n"
        "def taken(plugins): plugins.uis_methods['maskcut'] = plugins\n"
    )
    return folder


def test_broken_packages_are_one_sentence_each(
    site: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.syspath_prepend(str(site))
    forget_plugins()
    found = plugins()
    forget_plugins()
    assert set(found.mask_formats) == {"boxes"} and set(found.backbones) == {"random-vit"}
    assert [record.getMessage().count("\n") for record in caplog.records] == [0] * 4
    for sentence in (
        "'absent' of the package broken does not work and is left out (No module named 'no_such",
        "'falls' of the package broken does not work and is left out (not today)",
        "'wrong' of the package wrong does not work and is left out ('bad' in prompters is a int)",
        "'taken' of the package wrong does not work and is left out ('maskcut' in uis_methods is",
    ):
        assert sentence in caplog.text


def test_the_example_of_the_docs_works_beside_packages_that_do_not(site: Path) -> None:
    paths = os.pathsep.join((str(site), str(EXAMPLE.parents[1])))
    environment = os.environ | {"PYTHONPATH": paths, "HF_HUB_OFFLINE": "1"}
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*tests, "--rootdir", str(site), str(site / "test_segdemo_example.py")],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    help_text = subprocess.run(
        [sys.executable, "-m", "segdemo", "propose", "--help"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert "bright" in help_text.stdout and "boxes" in help_text.stdout
    assert "--quantile" in help_text.stdout


def test_what_a_plugin_raises_later_is_one_sentence_too() -> None:
    with pytest.raises(InputError, match=r"toy, which a plugin added, failed \(division by zero\)"):
        call_plugin("toy", lambda: 1 / 0)
    with pytest.raises(ValueError, match="suffix 'TOY'"):
        MaskFileFormat("TOY")


def test_this_projects_own_names_win(caplog: pytest.LogCaptureFixture) -> None:
    assert added({"a": 1}, {"a": 2, "b": 3}) == {"a": 1, "b": 3}
    assert "'a' is left out" in caplog.text
