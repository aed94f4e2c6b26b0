"""A folder has one run at a time, and a run that was killed does not stay in its way."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from segdemo.datatypes import InputError
from training.run_lock import one_run

HOLD = "import sys, time; from pathlib import Path; from training.run_lock import one_run\n"
HOLD += "with one_run(Path(sys.argv[1])): print('in', flush=True); time.sleep(60)"


def test_a_second_run_is_refused_until_the_first_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None and first.stdout.readline() == "in\n"
        with pytest.raises(InputError, match="Another run is writing to"), one_run(folder):
            pass
        with one_run(folder, "part"):  # has a lock of its own
            pass
        monkeypatch.setenv("RANK", "1")  # another process of the same run
        with one_run(folder):
            monkeypatch.delenv("RANK")
        first.send_signal(signal.SIGKILL)
    with one_run(folder):
        pass


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file cannot be written \(.*\): choose"):
        with one_run(tmp_path / "file"):
            pass
