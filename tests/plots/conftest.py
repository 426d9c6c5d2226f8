from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from weightsmith.sketch import Sketch
from weightsmith.sources import Source, open_safetensors, write_safetensors
from weightsmith.store import Event, Run, SketchRecord, Store
from weightsmith.weight import WeightInfo

WEIGHTS = {"fc1.weight": (12, 16), "fc1.bias": (12,), "fc2.weight": (10, 12), "fc3.weight": (3, 10)}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "runs") as opened:
        yield opened


@pytest.fixture
def make_run(store: Store) -> Callable[..., Run]:
    """A run of the weights above with what a test gives; snapshots as `{step: tensors}`."""

    def make(series=None, sketches=(), events=(), snapshot=None, summary=None, name="a run", weights=WEIGHTS) -> Run:
        infos = [
            WeightInfo(weight, shape, "float32", "bias" if len(shape) == 1 else "linear")
            for weight, shape in weights.items()
        ]
        writer = store.create_run(name=name, recipe=None, environment={}, weights=infos)
        writer.write(
            series={key: (list(steps), list(values)) for key, (steps, values) in (series or {}).items()},
            sketches=sketches,
            events=events,
        )
        for step, tensors in (snapshot or {}).items():
            writer.snapshot(step, tensors)
        writer.set_summary(summary or {})
        writer.finish("completed")
        return store.run(writer.id)

    return make


@pytest.fixture
def full_run(make_run) -> Run:
    """A run with something for every picture."""
    rng = np.random.default_rng(0)
    steps = np.arange(60)
    epochs = np.arange(9, 60, 10)
    tensors = {name: rng.normal(size=shape).astype(np.float32) for name, shape in WEIGHTS.items()}
    tensors["fc1.weight"][rng.random((12, 16)) < 0.6] = 0
    series = {
        ("loss", None): (steps, 2 * 0.9**steps + 0.01),
        ("learning_rate", None): (steps, 0.1 / (1 + steps)),
        ("gradient_norm", None): (steps, 0.95**steps),
        ("train_loss", None): (epochs, [1.0, 0.5, 0.3, 0.2, 0.1, 0.05]),
        ("val_loss", None): (epochs, [1.1, 0.7, 0.6, 0.7, 0.8, 0.9]),
        ("train_accuracy", None): (epochs, np.linspace(0.5, 1, 6)),
        ("val_accuracy", None): (epochs, np.linspace(0.5, 0.9, 6)),
    }
    for name in WEIGHTS:
        series["update_ratio", name] = (steps, 10.0 ** rng.uniform(-4, -2, 60))
        series["gradient_norm", name] = (steps, 10.0 ** rng.uniform(-3, 0, 60))
        series["zeros", name] = (steps, np.linspace(0, 0.5, 60))
        series["flip_rate", name] = (steps, 0.05 * 0.9**steps)
        series["oscillating", name] = (steps, np.full(60, 0.001))
        for which, bits in (("", 0.99), ("_mean", 0.9), ("_least", 0.5)):
            series[f"sign_entropy{which}", name] = (steps, np.full(60, bits))
        series["mask_churn", name] = (steps, np.where(steps % 10 == 9, 0.1, 0.0))
        series["mask_overlap_first", name] = (steps, 0.8 ** (steps // 10))
    sketches = [
        SketchRecord(name, "weight", step, Sketch.of((1 + step / 30) * tensors[name]))
        for name in WEIGHTS
        for step in (0, 20, 40, 59)
    ]
    sketches += [SketchRecord(name, "latent", 59, Sketch.of(np.clip(tensors[name], -1, 1))) for name in WEIGHTS]
    verdict = {"verdict": "overfitting", "since": 29, "text": "Validation loss rises.", "evidence": {}}
    return make_run(series, sketches, [Event(49, "verdict", verdict)], {59: tensors}, {"best_step": 29})


@pytest.fixture
def source(tmp_path: Path) -> Callable[..., Source]:
    def make(**tensors: np.ndarray) -> Source:
        path = tmp_path / "some.safetensors"
        write_safetensors(path, {name.replace("__", "."): array for name, array in tensors.items()}, None)
        return open_safetensors(path)

    return make


@pytest.fixture
def texts() -> Callable[..., str]:
    """All that a figure says, with line breaks undone."""

    def collect(figure) -> str:
        from matplotlib.text import Text

        found = figure.findobj(lambda artist: isinstance(artist, Text) and artist.get_visible())
        return "\n".join(text.get_text().replace("\n", " ") for text in found)

    return collect
