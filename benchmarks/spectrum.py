"""Alpha of every layer and the time beside WeightWatcher's: `python benchmarks/spectrum.py MODEL.safetensors`.

Both see the same matrices: WeightWatcher through linear and embedding modules that hold them, with its own defaults.
Rivals take turns; medians are compared. `python benchmarks/spectrum.py --table` prints the literal table of alphas that
the tests compare with. Needs `pip install weightwatcher==0.7.7`.
"""

import logging
import sys
import time
import warnings
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
import weightwatcher
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch import nn

from weightsmith.analysis import spectrum
from weightsmith.sources import open as open_source

THREADS = 2
ROUNDS = 5
TOLERANCE = 0.02

RECIPES: dict[str, Callable[[np.random.Generator], NDArray[np.float64]]] = {
    "gaussian-200x100": lambda rng: rng.normal(size=(200, 100)),
    "gaussian-64x300": lambda rng: 0.05 * rng.normal(size=(64, 300)),
    "heavy-150x150": lambda rng: 0.05 * rng.standard_t(2.5, size=(150, 150)),
    "heavy-400x120": lambda rng: 0.02 * rng.pareto(2.0, size=(400, 120)),
    "decay-128x96": lambda rng: rng.normal(size=(128, 96)) * 0.95 ** np.arange(96),
    "spike-256x128": lambda rng: 0.05 * rng.normal(size=(256, 128)) + 0.2 * np.outer(np.ones(256), np.ones(128)),
    "few-40x12": lambda rng: rng.normal(size=(40, 12)),
    "conv-32x24x3x3": lambda rng: 0.1 * rng.standard_t(4, size=(32, 24, 3, 3)),
    "conv-16x8x5x5": lambda rng: 0.2 * rng.normal(size=(16, 8, 5, 5)),
}
"""Matrices from `np.random.default_rng(0)`, cast to float32."""


class Held(nn.Module):
    """The matrices of a file in modules that WeightWatcher takes up, under their own names."""

    def __init__(self, tensors: dict[str, NDArray[np.float32]]) -> None:
        super().__init__()
        for name, array in tensors.items():
            self.add_module(name.replace(".", "/"), holder(array))


def holder(array: NDArray[np.float32]) -> nn.Module:
    module: nn.Module
    if array.ndim == 4:
        module = nn.Conv2d(array.shape[1], array.shape[0], array.shape[2:], bias=False)
    else:
        module = nn.Linear(array.shape[1], array.shape[0], bias=False)
    module.weight.data = torch.from_numpy(np.array(array))
    return module


def theirs(model: nn.Module) -> dict[str, float]:
    details = weightwatcher.WeightWatcher(model=model).analyze()
    return dict(zip((name.replace("/", ".") for name in details["longname"]), details["alpha"], strict=True))


def ours(path: str, names: list[str]) -> list[float | None]:
    source = open_source(path)
    return [spectrum(source[name]).alpha for name in names]


def taken(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def compare(path: str) -> None:
    source = open_source(path)
    names = [name for name in source if len(source[name].shape) in (2, 4)]
    model = Held({name: np.asarray(source[name].read(), np.float32) for name in names})
    their_alphas = theirs(model)
    found = ours(path, list(their_alphas))
    our_alphas = {name: alpha or float("nan") for name, alpha in zip(their_alphas, found, strict=True)}
    print(f"{'layer':60}{'WeightWatcher':>14}{'weightsmith':>12}{'difference':>12}")
    for name, alpha in their_alphas.items():
        print(f"{name:60}{alpha:14.4f}{our_alphas[name]:12.4f}{our_alphas[name] - alpha:12.1e}")
    close = sum(abs(our_alphas[name] - alpha) <= TOLERANCE for name, alpha in their_alphas.items())
    print(f"{close} of {len(their_alphas)} layers within {TOLERANCE}")
    rivals = {
        "WeightWatcher": lambda: theirs(model),
        "weightsmith": lambda: ours(path, list(their_alphas)),
    }
    times: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(ROUNDS):
        for name, call in rivals.items():
            times[name].append(taken(call))
    for name, rounds in times.items():
        print(f"{name:14} {median(rounds):.2f} s (median of {ROUNDS}, {THREADS} threads)")
    print(f"ratio {median(times['WeightWatcher']) / median(times['weightsmith']):.1f}")


def table() -> None:
    arrays = {name: make(np.random.default_rng(0)).astype(np.float32) for name, make in RECIPES.items()}
    for name, alpha in theirs(Held(arrays)).items():
        print(f'    "{name}": {alpha:.6f},')


if __name__ == "__main__":
    torch.set_num_threads(THREADS)
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    with threadpool_limits(THREADS):
        if "--table" in sys.argv:
            table()
        else:
            compare(sys.argv[1])
