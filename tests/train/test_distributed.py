"""Two processes train as one does, and stop together whatever stops one of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from weightsmith.store import Store
from weightsmith.train.training import train

RECIPE: dict[str, Any] = {
    "data": {"name": "digits"},
    "model": {"name": "mlp", "hidden": [32]},
    "optimizer": {"name": "adam", "clip_norm": 1.0},
    "penalties": {"l1": 1e-4, "orthogonality": 1e-4},
    "schedule": {"name": "cosine"},
    "budget": {"epochs": 2},
    "batch_size": 45,
    "threads": 1,
}


UNTIL_STOPPED = {**RECIPE, "schedule": {"name": "constant"}}
JOBS: dict[str, dict[str, Any]] = {
    "plain": {"recipe": RECIPE},
    "interrupted": {"recipe": {**UNTIL_STOPPED, "budget": {"seconds": 60}}, "disturb": "interrupt"},
    "non_finite": {"recipe": {**UNTIL_STOPPED, "budget": {"seconds": 60}}, "disturb": "nan"},
    "budget": {"recipe": {**UNTIL_STOPPED, "budget": {"seconds": 0.3}}},
}


Said = Callable[..., list[str]]


def train_together(folder: Path, said_together: Said) -> dict[str, list[str]]:
    """Train every job in two processes, each into a store of its own in `folder`; what both said at the end of each."""
    jobs = [{**job, "store": str(folder / name)} for name, job in JOBS.items()]
    said = said_together(Path(__file__).with_name("together.py"), json.dumps(jobs))
    lines = [line for line in said if line.startswith("ended")]
    by_rank = [[line for line in lines if line.split()[1] == rank] for rank in "01"]
    return {name: list(pair) for name, pair in zip(JOBS, zip(*by_rank, strict=True), strict=True)}


def test_two_processes(tmp_path: Path, said_together: Said) -> None:
    # one test, for starting processes takes most of its time
    said = train_together(tmp_path, said_together)
    check_same_losses(tmp_path / "plain", said["plain"], tmp_path / "alone")
    # stopped by a signal or a NaN in process 1 alone, or by the clock of process 0
    for ending, status in (("interrupted", "interrupted"), ("non_finite", "failed"), ("budget", "completed")):
        zero, one = (line.split() for line in said[ending])
        assert zero[2:] == one[2:]
        assert zero[2] == ending
        with Store.open(tmp_path / ending) as store:
            assert store.run().status == status


def check_same_losses(together: Path, said: list[str], alone: Path) -> None:
    train(RECIPE, store=alone, progress=False)
    with Store.open(alone) as first, Store.open(together) as second:
        one, two = first.run(), second.run()
        assert len(second.runs()) == 1
        assert two.status == "completed"
        steps = one.summary["steps"]
        assert said == [f"ended 0 budget {steps}", f"ended 1 budget {steps}"]
        # odd batches of 45 rows and an odd last one: the processes' parts differ in size
        for name in ("loss", "train_loss", "val_loss"):
            expected, found = one.series(name), two.series(name)
            np.testing.assert_array_equal(found.steps, expected.steps)
            np.testing.assert_allclose(found.values, expected.values, rtol=1e-5)
        np.testing.assert_array_equal(one.series("val_accuracy").values, two.series("val_accuracy").values)
        assert two.summary["test_loss"] == pytest.approx(one.summary["test_loss"], rel=1e-5)
        assert two.environment["processes"] == 2
