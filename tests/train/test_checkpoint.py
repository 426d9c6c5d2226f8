"""Checkpoints are whole or not there, hold no code, and bring every random generator back."""

import os
import pickle
import random
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
import torch

from weightsmith.errors import SourceError, StoreError
from weightsmith.train import checkpoint

CPU = torch.device("cpu")


def state(value: int) -> dict:
    return {"model": {"w": torch.full((3,), float(value))}, "position": {"step": value}}


def test_round_trip_and_only_the_current_best_stays(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, state(1), {"w": torch.ones(2)}, 1)
    checkpoint.save(tmp_path, state(2), {"w": torch.ones(2) * 5}, 2)
    found, best = checkpoint.load(tmp_path, CPU)
    assert found["position"] == {"step": 2}
    torch.testing.assert_close(found["model"]["w"], torch.full((3,), 2.0))
    torch.testing.assert_close(best["w"], torch.ones(2) * 5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best-2.pt", "last.pt"]


def test_no_checkpoint_and_no_best(tmp_path: Path) -> None:
    assert checkpoint.load(tmp_path, CPU) is None
    checkpoint.save(tmp_path, state(1), None, None)
    assert checkpoint.load(tmp_path, CPU)[1] is None


@pytest.mark.parametrize("broken_at", ["torch.save", "os.fsync", "pathlib.Path.replace"])
def test_a_failed_write_leaves_the_previous_one(broken_at: str, tmp_path: Path) -> None:
    checkpoint.save(tmp_path, state(1), {"w": torch.ones(2)}, 1)
    with mock.patch(broken_at, side_effect=OSError(28, "No space left on device")), pytest.raises(StoreError):
        checkpoint.save(tmp_path, state(2), {"w": torch.zeros(2)}, 2)
    found, best = checkpoint.load(tmp_path, CPU)
    assert found["position"] == {"step": 1}
    torch.testing.assert_close(best["w"], torch.ones(2))
    assert not list(tmp_path.glob(".*"))


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / f".{checkpoint.LAST}.123.tmp").write_bytes(b"half a check")
    checkpoint.save(tmp_path, state(1), None, None)
    assert [path.name for path in tmp_path.iterdir()] == [checkpoint.LAST]


class Malicious:
    def __reduce__(self) -> tuple:
        return os.mkdir, ("executed",)


def test_nothing_in_a_checkpoint_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"format": 1, "x": Malicious()}, tmp_path / checkpoint.LAST)
    with pytest.raises(SourceError, match=r"last\.pt"):
        checkpoint.load(tmp_path, CPU)
    (tmp_path / checkpoint.LAST).write_bytes(pickle.dumps(Malicious()))
    with pytest.raises(SourceError):
        checkpoint.load(tmp_path, CPU)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, 0.99])
def test_a_truncated_file_is_one_line(keep: float, tmp_path: Path) -> None:
    checkpoint.save(tmp_path, state(1), None, None)
    whole = (tmp_path / checkpoint.LAST).read_bytes()
    (tmp_path / checkpoint.LAST).write_bytes(whole[: int(keep if keep >= 1 else keep * len(whole))])
    with pytest.raises(SourceError) as caught:
        checkpoint.load(tmp_path, CPU)
    assert "\n" not in str(caught.value)


def test_a_missing_best_file_and_a_newer_format(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, state(1), {"w": torch.ones(1)}, 7)
    (tmp_path / "best-7.pt").unlink()
    with pytest.raises(SourceError, match=r"best-7\.pt"):
        checkpoint.load(tmp_path, CPU)
    torch.save({"format": checkpoint.FORMAT + 1}, tmp_path / checkpoint.LAST)
    with pytest.raises(SourceError, match="newer"):
        checkpoint.load(tmp_path, CPU)


def test_random_generators_continue(tmp_path: Path) -> None:
    def draw() -> list[float]:
        drawn = [torch.rand(1).item(), random.random(), random.gauss(0, 1), torch.randn(1).item()]
        return [*drawn, np.random.rand()]  # noqa: NPY002 - the global generator is what is tested

    draw()
    checkpoint.save(tmp_path, {"random": checkpoint.random_state()}, None, None)
    expected = draw()
    draw()
    checkpoint.restore_random_state(checkpoint.load(tmp_path, CPU)[0]["random"])
    assert draw() == expected


def test_copies_do_not_follow_training() -> None:
    weights = {"w": torch.ones(2), "extra": 3}
    copy = checkpoint.copy_weights(weights)
    weights["w"].zero_()
    assert copy["w"].tolist() == [1, 1]
    assert copy["extra"] == 3


def test_checkpoints_keep_to_their_share(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(checkpoint, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    clock = checkpoint.CheckpointClock()
    assert not clock.due(epoch_ended=False)
    assert clock.due(epoch_ended=True)
    now[0] = 0.1
    clock.wrote(0.0)  # 0.1 s: the next one 5 s later
    now[0] = 5.0
    assert not clock.due(epoch_ended=True)
    now[0] = 5.2
    assert clock.due(epoch_ended=True)
    assert clock.due(epoch_ended=False)
    assert clock.seconds == pytest.approx(0.1)


def test_other_versions_warn() -> None:
    with pytest.warns(UserWarning, match=r"torch 1\.0 -> 2\.0"):
        checkpoint.warn_of_changes({"torch": "1.0", "numpy": "1"}, {"torch": "2.0", "numpy": "1"})
    checkpoint.warn_of_changes({"torch": "1.0"}, {"torch": "1.0"})
