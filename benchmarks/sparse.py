"""Sparse products beside PyTorch's and SciPy's: `python benchmarks/sparse.py [--quick | --small | --conv]`.

Rivals take turns (see `turns.py`), and medians are compared. Times are of whole calls from Python.
"""

import argparse
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse
import torch
from turns import seconds

from weightsmith.kernels.sparse import from_dense, resident_bytes, sparse_convolution, sparse_linear

THREADS = 2
BATCHES = (1, 8, 16, 64, 256)
SPARSITIES = (0.8, 0.9, 0.95, 0.98)

Rivals = dict[str, Callable[[], object]]


def sparse(shape: tuple[int, int], sparsity: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    random = np.random.default_rng(0)
    values = random.standard_normal(shape, np.float32)
    return np.where(random.random(shape, np.float32) < sparsity, np.float32(0), values)


def linear(shape: tuple[int, int], sparsities: tuple[float, ...], batches: tuple[int, ...], rounds: int) -> list[Any]:
    found = []
    for sparsity in sparsities:
        values = sparse(shape, sparsity)
        forms = {form: from_dense(values, form) for form in ("csr", "bitmask")}
        forms["signs"] = from_dense(np.sign(values), "signs")
        dense, brain = torch.from_numpy(values), torch.from_numpy(values).bfloat16()
        rows, theirs = scipy.sparse.csr_matrix(values), dense.to_sparse_csr()
        for batch in batches:
            inputs = np.random.default_rng(1).standard_normal((batch, shape[1]), np.float32)
            held, half = torch.from_numpy(inputs), torch.from_numpy(inputs).bfloat16()
            rivals: Rivals = {
                "dense": lambda held=held, dense=dense: torch.nn.functional.linear(held, dense),
                "bfloat16": lambda half=half, brain=brain: torch.nn.functional.linear(half, brain),
                "torch csr": lambda held=held, theirs=theirs: theirs @ held.T,
                "scipy": lambda inputs=inputs, rows=rows: rows @ inputs.T,
            }
            for form, weight in forms.items():
                rivals[form] = lambda inputs=inputs, weight=weight: sparse_linear(inputs, weight, threads=THREADS)
            size = {form: resident_bytes(weight) for form, weight in forms.items()}
            case = {"layer": f"{shape[0]}x{shape[1]}", "sparsity": sparsity, "batch": batch, "bytes": size}
            with torch.inference_mode():
                found.append({**case, "seconds": seconds(rivals, rounds)})
    return found


def convolutions(rounds: int) -> list[Any]:
    found = []
    for channels, size, batch in ((128, 28, 1), (128, 28, 16), (512, 7, 1)):
        images = np.random.default_rng(1).standard_normal((batch, channels, size, size), np.float32)
        for sparsity in SPARSITIES:
            values = sparse((channels, channels * 9), sparsity)
            dense, held = torch.from_numpy(values.reshape(channels, channels, 3, 3)), torch.from_numpy(images)
            forms = {"csr": from_dense(values, "csr"), "signs": from_dense(np.sign(values), "signs")}
            rivals: Rivals = {"dense": lambda held=held, dense=dense: torch.conv2d(held, dense, padding=1)}
            for form, weight in forms.items():
                rivals[form] = lambda images=images, weight=weight: sparse_convolution(
                    images, weight, kernel=(3, 3), padding=(1, 1), threads=THREADS
                )
            layer = f"3x3 {channels}->{channels}, {size}x{size}"
            bytes_of = {form: resident_bytes(weight) for form, weight in forms.items()}
            case = {"layer": layer, "sparsity": sparsity, "batch": batch, "bytes": bytes_of}
            with torch.inference_mode():
                found.append({**case, "seconds": seconds(rivals, rounds)})
    return found


def show(cases: list[Any]) -> None:
    names = ("dense", "bfloat16", "torch csr", "scipy", "csr", "bitmask", "signs")
    print(f"{THREADS} threads, medians; milliseconds (times faster than dense float32)")
    print(f"{'':26}{'zeros':>6}{'batch':>6}" + "".join(f"{name:>16}" for name in names))
    for case in cases:
        took = case["seconds"]
        cells = [
            f"{took[name] * 1e3:8.3f} ({took['dense'] / took[name]:5.2f})" if name in took else "-" for name in names
        ]
        head = f"{case['layer']:26}{case['sparsity']:6.0%}{case['batch']:6}"
        print(head + "".join(f"{cell:>16}" for cell in cells))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="only 80 %% and 95 %%, batch 1, 16 and 64")
    options.add_argument("--small", action="store_true", help="the layers of LeNet-300-100 instead of 4096x4096")
    options.add_argument("--conv", action="store_true", help="3x3 convolutions instead")
    options.add_argument("--json", action="store_true", help="print one JSON object")
    options.add_argument("--rounds", type=int, default=7)
    given = options.parse_args()
    torch.set_num_threads(THREADS)
    if given.conv:
        cases = convolutions(given.rounds)
    elif given.small:
        cases = [
            case
            for shape in ((300, 784), (100, 300))
            for case in linear(shape, (0.9, 0.95, 0.99), (1, 64), given.rounds)
        ]
    elif given.quick:
        cases = linear((4096, 4096), (0.8, 0.95), (1, 16, 64), given.rounds)
    else:
        cases = linear((4096, 4096), SPARSITIES, BATCHES, given.rounds)
    if given.json:
        print(json.dumps({"threads": THREADS, "cases": cases}))
    else:
        show(cases)


if __name__ == "__main__":
    main()
