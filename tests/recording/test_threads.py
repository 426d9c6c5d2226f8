"""Recorders and threads."""

import math
import threading

import pytest
import torch
from torch import nn

from weightsmith.recording import record
from weightsmith.sketch import Sketch
from weightsmith.store import Store


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "runs.db") as opened:
        yield opened


def test_steps_from_several_threads(store):
    model = nn.Linear(4, 3)
    with record(model, budget=math.inf, store=store) as recorder:
        threads = [threading.Thread(target=lambda: [recorder.step(loss=1.0) for _ in range(200)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert recorder.failure is None
    assert recorder.run.series("loss").steps.tolist() == list(range(1, 801))


def test_two_recorders_in_two_threads(store):
    def work(seed, results):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with record(model, optimizer, budget=math.inf, store=store, name=f"run {seed}") as recorder:
            for _ in range(30):
                optimizer.zero_grad()
                model(torch.ones(2, 4)).sum().backward()
                optimizer.step()
                recorder.step()
        results.append((recorder, Sketch.of(model[0].weight.detach().numpy())))

    results = []
    threads = [threading.Thread(target=work, args=(seed, results)) for seed in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 2
    for recorder, sketch in results:
        assert recorder.failure is None
        assert len(recorder.run.series("update_ratio", "0.weight")) == 30
        assert recorder.run.sketches("0.weight")[-1][1].norm == pytest.approx(sketch.norm)
