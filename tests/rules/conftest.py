"""Small trainings, recorded at every step, that have one fault or none."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import weightsmith as ws
from weightsmith.sources import Source, Weight, infer_role
from weightsmith.store import Run, Store
from weightsmith.weight import WeightInfo

Train = Callable[..., Run]


@pytest.fixture
def store(tmp_path: Path):
    with Store.open(tmp_path / "runs") as opened:
        yield opened


@pytest.fixture
def blobs() -> tuple[torch.Tensor, torch.Tensor]:
    """Three classes of 300 points in 20 dimensions, standardized and easy to tell apart."""
    generator = torch.Generator().manual_seed(0)
    centers = torch.randn(3, 20, generator=generator)
    labels = torch.arange(300) % 3
    points = centers[labels] + 0.7 * torch.randn(300, 20, generator=generator)
    return (points - points.mean(0)) / points.std(0), labels


@pytest.fixture
def train(store: Store, blobs) -> Train:
    """Train a model on the blobs for some steps by gradient descent and return what was recorded."""

    def run(
        model: nn.Module,
        *,
        lr: float = 0.1,
        steps: int = 60,
        optimizer: torch.optim.Optimizer | None = None,
        before_step: Callable[[int], None] | None = None,
    ) -> Run:
        points, labels = blobs
        optimizer = optimizer or torch.optim.SGD(model.parameters(), lr=lr)
        order = torch.Generator().manual_seed(1)
        with ws.record(model, optimizer, store=store, budget=math.inf) as recorder:
            for step in range(steps):
                batch = torch.randint(0, len(points), (64,), generator=order)
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(model(points[batch]), labels[batch])
                loss.backward()
                if before_step:
                    before_step(step)
                optimizer.step()
                recorder.step(loss=loss)
        return store.run(recorder.run_id)

    return run


@pytest.fixture
def mlp() -> Callable[..., nn.Sequential]:
    """A multilayer perceptron for the blobs with the given activation and depth, well initialized."""

    def build(activation: type[nn.Module] = nn.ReLU, depth: int = 2, width: int = 32) -> nn.Sequential:
        layers: list[nn.Module] = []
        for position in range(depth):
            layers += [nn.Linear(20 if position == 0 else width, width), activation()]
        model = nn.Sequential(*layers, nn.Linear(width, 3))
        ws.init.apply(model, "auto", seed=0)
        return model

    return build


@pytest.fixture
def write(store: Store) -> Callable[..., Run]:
    """A run that holds exactly the given series: `{(name, weight): values}` at steps 1, 2, ..."""

    def build(series: dict, *, weights=(), recipe=None, **steps) -> Run:
        writer = store.create_run(name=None, recipe=recipe, environment={}, weights=weights)
        writer.write(series={key: (list(range(1, len(values) + 1)), list(values)) for key, values in series.items()})
        writer.finish("completed")
        return store.run(writer.id)

    return build


@pytest.fixture
def source_of() -> Callable[..., Source]:
    """A source of the given arrays by name; `infos` changes what is known of some of them."""

    def build(tensors: dict[str, np.ndarray], infos: dict[str, dict] | None = None) -> Source:
        def weight(name: str, values: np.ndarray) -> Weight:
            info = WeightInfo(name, values.shape, values.dtype.name, infer_role(name, values.shape))
            return Weight(replace(info, **(infos or {}).get(name, {})), values.nbytes, lambda: values)

        return Source("model", [weight(name, values) for name, values in tensors.items()])

    return build


@pytest.fixture
def found(source_of) -> Callable[..., tuple]:
    """What one rule, by its name or code, finds in arrays by name; the rule must have been applied."""

    def look(rule: str, tensors: dict[str, np.ndarray], infos: dict[str, dict] | None = None) -> tuple:
        report = ws.check(source_of(tensors, infos), select=[rule])
        assert not report.skipped, report.skipped
        return report.findings

    return look
