"""How fast a sketch is beside NumPy's histogram and a bare sum in PyTorch: `python benchmarks/sketch.py [MILLIONS]`.

Rivals take turns, so that whatever else the machine does meets all of them; the medians are compared.
"""

import sys
import time
from collections.abc import Callable
from statistics import median

import ml_dtypes
import numpy as np
import torch

from weightsmith.sketch import Sketch

THREADS = 2
ROUNDS = 7


def seconds(rivals: dict[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    taken: dict[str, list[float]] = {name: [] for name in rivals}
    for call in rivals.values():
        call()
    for _ in range(rounds):
        for name, call in rivals.items():
            start = time.perf_counter()
            call()
            taken[name].append(time.perf_counter() - start)
    return {name: median(times) for name, times in taken.items()}


def large(size: int) -> None:
    single = np.random.default_rng(0).standard_normal(size, np.float32) * np.float32(0.05)
    sparse = np.where(np.random.default_rng(1).random(size, np.float32) < 0.9, np.float32(0), single)
    brain = single.astype(ml_dtypes.bfloat16)
    tensor, brain_tensor = torch.from_numpy(single), torch.from_numpy(single).bfloat16()
    found = seconds(
        {
            "sketch, float32": lambda: Sketch.of(single, THREADS),
            "sketch, float32, 90 % zeros": lambda: Sketch.of(sparse, THREADS),
            "sketch, bfloat16": lambda: Sketch.of(brain, THREADS),
            "torch.sum, float32": lambda: torch.sum(tensor),
            "torch.sum, bfloat16": lambda: torch.sum(brain_tensor),
        }
    )
    found |= seconds(
        {
            "np.histogram, float32, 10 bins": lambda: np.histogram(single),
            "np.histogram, float32, 64 bins": lambda: np.histogram(single, 64),
        },
        rounds=3,
    )
    print(f"{size:,} elements, {THREADS} threads, medians")
    print(f"{'':32}{'ms':>8}{'G/s':>8}{'x hist 10':>11}{'x hist 64':>11}{'x sum fp32':>12}{'x sum bf16':>12}")
    rivals = (
        "np.histogram, float32, 10 bins",
        "np.histogram, float32, 64 bins",
        "torch.sum, float32",
        "torch.sum, bfloat16",
    )
    for name, took in found.items():
        ten, many, full, half = (found[rival] / took for rival in rivals)
        print(f"{name:32}{took * 1e3:8.1f}{size / took / 1e9:8.2f}{ten:11.1f}{many:11.1f}{full:12.2f}{half:12.2f}")


def small() -> None:
    print("\none sketch of a small array, one thread, microseconds")
    for shape in ((10,), (300,), (100, 10), (300, 100), (300, 784)):
        array = np.random.default_rng(0).standard_normal(shape, np.float32)
        found = seconds({"sketch": lambda array=array: Sketch.of(array, 1)}, rounds=301)  # type: ignore[misc]
        print(f"{'x'.join(map(str, shape)):>10}{found['sketch'] * 1e6:8.1f}")


if __name__ == "__main__":
    torch.set_num_threads(THREADS)
    large(int(sys.argv[1]) * 10**6 if len(sys.argv) > 1 else 50 * 10**6)
    small()
