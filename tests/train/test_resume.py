"""A training that is killed again and again ends with the same weights, bit for bit, as one that never was."""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from weightsmith.errors import InputError
from weightsmith.store import Store
from weightsmith.train.training import train


class Victim:
    """The training process of `victim.py`."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("victim.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "WEIGHTSMITH_THREADS": "1"},
        )

    def run(self, **job: object) -> int:
        """Exit status of a training, or minus the number of the signal that ended it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


@pytest.fixture(scope="module")
def victim() -> Iterator[Victim]:
    started = Victim()
    yield started
    started.process.communicate(timeout=30)


BASE = {"budget": {"epochs": 8}, "seed": 3, "threads": 1}
RECIPES = {
    "adam, dropout, batch norm, L1, cosine": {
        **BASE,
        "model": {"name": "mlp", "hidden": [24, 12], "dropout": 0.2},
        "batch_norm": True,
        "optimizer": {"name": "adam", "lr": 0.003, "clip_norm": 1.0},
        "schedule": {"name": "cosine", "warm_up": 10},
        "penalties": {"l1": 1e-4},
    },
    "momentum, rewired by gradients": {
        **BASE,
        "model": {"name": "mlp", "hidden": [24, 12]},
        "optimizer": {"name": "momentum", "lr": 0.05},
        "kind": {"name": "sparse", "method": "rigl", "sparsity": 0.7, "every": 0.02},
        "schedule": {"name": "step", "every": 60},
    },
}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_killed_run_ends_with_the_same_bits(recipe: dict, victim: Victim, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    assert victim.run(store=str(whole), recipe=recipe) == 0
    with Store.open(whole) as store:
        steps = store.run().summary["steps"]
    rng = random.Random(str(recipe))
    killed, kills, resume = tmp_path / "killed", 0, None
    for attempt in range(40):
        # a step alone would always be the same place in the code, and a time alone before the start or after the end
        when = {"kill_at": rng.randrange(steps // 2), "kill_after": rng.uniform(0, 0.02)} if attempt < 12 else {}
        status = victim.run(store=str(killed), recipe=None if resume else recipe, resume=resume, **when)
        kills += status == -signal.SIGKILL
        with Store.open(killed) as store:
            runs = store.runs()
        if status == 0:
            break
        assert status == -signal.SIGKILL
        resume = runs[0].id
    assert kills >= 2
    assert len(runs) == 1
    assert runs[0].status == "completed"
    _compare(whole, killed)


def _compare(whole_store: Path, killed_store: Path) -> None:
    with Store.open(whole_store) as first, Store.open(killed_store) as second:
        whole, killed = first.run(), second.run()
        assert whole.summary["best_step"] == killed.summary["best_step"]
        for step in (None, whole.summary["best_step"]):
            ours, theirs = whole.source(step), killed.source(step)
            assert ours.label.split()[-1] == theirs.label.split()[-1], "the snapshots are of one step"
            assert ours.keys() == theirs.keys()
            for name, weight in ours.items():
                assert weight.read().tobytes() == theirs[name].read().tobytes(), name
        steps = killed.series("loss").steps
        assert steps.tolist() == list(range(1, steps[-1] + 1))
        for name in ("loss", "train_loss", "val_loss", "train_accuracy", "val_accuracy", "epoch"):
            a, b = whole.series(name), killed.series(name)
            np.testing.assert_array_equal(a.steps, b.steps, err_msg=name)
            np.testing.assert_array_equal(a.values, b.values, err_msg=name)
        told = [[(each.step, each.payload["verdict"]) for each in run.events("verdict")] for run in (whole, killed)]
        assert told[0] == told[1]
        assert whole.summary["test_loss"] == killed.summary["test_loss"]
        assert whole.summary["last_test_loss"] == killed.summary["last_test_loss"]


def test_interrupt_saves_and_resumes(victim: Victim, tmp_path: Path) -> None:
    recipe = {**RECIPES["momentum, rewired by gradients"], "budget": {"epochs": 30}}
    store = str(tmp_path / "stopped")
    assert victim.run(store=store, recipe=recipe, kill_at=200, signal=int(signal.SIGTERM)) == 4
    with Store.open(store) as opened:
        run = opened.run()
        assert run.status == "interrupted"
        stopped_at = run.summary["steps"]
        assert run.series("loss").steps[-1] == stopped_at
    assert victim.run(store=store, resume="latest") == 0
    assert victim.run(store=str(tmp_path / "whole"), recipe=recipe) == 0
    _compare(tmp_path / "whole", tmp_path / "stopped")


def test_what_cannot_be_resumed(tmp_path: Path) -> None:
    finished = train({"budget": {"steps": 2}, "threads": 1}, store=tmp_path, progress=False)
    with pytest.raises(InputError, match="is complete"):
        train(store=tmp_path, resume=finished.run_id, progress=False)
    with Store.open(tmp_path) as store:
        writer = store.create_run(name="own", recipe=None, environment={}, weights=[])
        writer.finish("failed")
        with pytest.raises(InputError, match="no recipe"):
            train(store=store, resume="own", progress=False)
        store.resume_run(finished.run_id).finish("interrupted")
        with pytest.raises(InputError, match="own recipe"):
            train({"budget": {"steps": 3}}, store=store, resume=finished.run_id, progress=False)
        with pytest.raises(InputError, match="keeps its name"):
            train(store=store, resume=finished.run_id, name="another", progress=False)
        with pytest.raises(InputError, match="model of its own"):
            train(store=store, resume=finished.run_id, model=torch.nn.Linear(64, 10), progress=False)
