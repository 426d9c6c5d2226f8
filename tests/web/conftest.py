"""A server over a store and files of our own, asked inside the test's process."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from weightsmith.rules import Configuration
from weightsmith.scan import Cache
from weightsmith.sketch import Sketch
from weightsmith.sources import write_safetensors
from weightsmith.store import Event, SketchRecord, Store
from weightsmith.web.app import create_app
from weightsmith.web.guard import Guard
from weightsmith.web.library import Library
from weightsmith.web.served import Served
from weightsmith.weight import WeightInfo

MATRIX = np.random.default_rng(0).standard_normal((700, 300)).astype(np.float32)
MATRIX[3, 4] = 40.0
MATRIX[600, 299] = np.nan
MATRIX[16:32, 0:16] = np.nan

SMALL = np.random.default_rng(1).standard_normal((24, 10)).astype(np.float32)


@pytest.fixture
def weights_file(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    write_safetensors(path, {"big.weight": MATRIX, "small.weight": SMALL, "small.bias": SMALL[:, 0].copy()})
    return path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "runs") as opened:
        yield opened


@pytest.fixture
def record(store: Store) -> Callable[..., str]:
    """Write a finished run of 1,000 steps and return its id."""

    def write(name: str = "first", lr: float = 0.1, losses: np.ndarray | None = None) -> str:
        infos = [
            WeightInfo("fc.weight", (24, 10), "float32", "linear"),
            WeightInfo("fc.bias", (24,), "float32", "bias"),
        ]
        recipe = {"model": {"name": "mlp", "hidden": [24]}, "optimizer": {"name": "adam", "lr": lr}, "seed": 0}
        writer = store.create_run(name=name, recipe=recipe, environment={"python": "3"}, weights=infos)
        steps = np.arange(1, 1001)
        curve = 1 / steps if losses is None else losses
        ratio = np.linspace(0, 1, 1000)
        series = {
            ("loss", None): (steps, curve),
            ("update_ratio", "fc.bias"): (steps[500:], ratio[500:]),
            ("update_ratio", "fc.weight"): (steps, ratio),
        }
        sketches = [SketchRecord("fc.weight", "weight", step, Sketch.of(SMALL * step)) for step in (1, 2, 3)]
        writer.write(series=series, sketches=sketches, events=[Event(5, "verdict", {"verdict": "healthy"})])
        writer.snapshot(0, {"fc.weight": SMALL, "fc.bias": SMALL[:, 0].copy()})
        writer.snapshot(1000, {"fc.weight": SMALL * 2, "fc.bias": SMALL[:, 1].copy()}, "final")
        writer.set_summary({"test_accuracy": 0.9})
        writer.finish("completed")
        return writer.id

    return write


@pytest.fixture
def serve(tmp_path: Path, store: Store) -> Iterator[Callable[..., TestClient]]:
    """Serve the store and some files; errors that nobody expected are raised and not answered."""
    clients: list[TestClient] = []

    def start(*files: object, **options: object) -> TestClient:
        held = {f"f{place}": what if hasattr(what, "files") else str(what) for place, what in enumerate(files)}
        library = Library({"s0": store}, held, Cache(tmp_path / "scans"))
        app = Guard(create_app(Served(library, Configuration())), **options)
        client = TestClient(app, base_url="http://localhost:8300", follow_redirects=False)
        client.__enter__()
        clients.append(client)
        return client

    yield start
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def client(serve: Callable[..., TestClient], weights_file: Path) -> TestClient:
    return serve(weights_file)


@pytest.fixture
def matrix() -> np.ndarray:
    """What weight 0 of the file holds, with an outlier and some NaN."""
    return MATRIX


@pytest.fixture
def small() -> np.ndarray:
    """What weight 1 of the file and the weight of each run hold."""
    return SMALL


@pytest.fixture
def error_of() -> Callable[[Any], str]:
    """The one line of an answer that reports an error."""

    def read(response: Any) -> str:
        facts = response.json()
        assert list(facts) == ["error"]
        assert "\n" not in facts["error"]
        return str(facts["error"])

    return read
