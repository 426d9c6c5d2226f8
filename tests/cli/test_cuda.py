"""The command line takes the GPU by itself, and what it left is asked as any other run."""

import json

import pytest
import torch

from weightsmith.store import Store

pytestmark = pytest.mark.usefixtures("cuda")


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_train_takes_the_gpu_and_what_follows_reads_its_run(weightsmith, tmp_path, model):
    location = tmp_path / "runs"
    changes = [f"model={model}", "budget.epochs=2", "threads=1", "kind=binary"]
    options = [part for change in changes for part in ("--set", change)]
    torch.cuda.reset_peak_memory_stats()
    outcome = weightsmith("train", "--store", location, "--name", "first", "--json", *options)
    assert outcome.code == 0, outcome.err
    assert torch.cuda.max_memory_allocated() > 0
    run = json.loads(outcome.out)["run"]
    with Store.open(location) as store:
        assert store.run(run).status == "completed"
    for command in (
        ("runs",),
        ("check", run),
        ("plot", run, "--output", tmp_path / "pictures", "--kind", "histograms"),
        ("pack", run, "--output", tmp_path / "packed.safetensors"),
    ):
        outcome = weightsmith(*command, "--store", location)
        assert outcome.code in (0, 1), (command, outcome.err)
