"""How fast layers of binary weights are beside PyTorch's dense ones: `python benchmarks/binary.py [--json]`.

Rivals take turns (see `turns.py`), and medians are compared.
"""

import argparse
import json

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from turns import seconds

from weightsmith.kernels.binary import binary_linear, ternary_linear, tile
from weightsmith.kernels.binary_convolution import binary_convolution
from weightsmith.kernels.binary_int8 import binary_linear_int8
from weightsmith.kernels.bits import pack_rows

THREADS = 2
LINEAR = ((4096, 4096, 1), (4096, 4096, 8), (4096, 4096, 64), (4096, 4096, 256), (1024, 784, 1), (10, 1024, 1))
CONVOLUTIONS = ((128, 28, 1), (128, 28, 8), (256, 14, 1))

Result = dict[str, object]


def weights(rows: int, columns: int) -> NDArray[np.bool_]:
    return np.random.default_rng(0).random((rows, columns)) < 0.5


def linear(rows: int, columns: int, batch: int) -> Result:
    chosen = weights(rows, columns)
    tiles, minus = (tile(pack_rows(part), columns) for part in (chosen, ~chosen & weights(rows, columns)[::-1]))
    dense = torch.from_numpy(np.where(chosen, 1, -1).astype(np.float32))
    inputs = np.random.default_rng(1).standard_normal((batch, columns)).astype(np.float32)
    values, half, brain = torch.from_numpy(inputs), dense.bfloat16(), torch.from_numpy(inputs).bfloat16()
    layer = (inputs, tiles, rows, columns)
    found = seconds(
        {
            "float32": lambda: F.linear(values, dense),
            "bfloat16": lambda: F.linear(brain, half),
            "binary": lambda: binary_linear(*layer, alphabet="signs", threads=THREADS),
            "ternary": lambda: ternary_linear(inputs, tiles, minus, rows, columns, threads=THREADS),
            "int8": lambda: binary_linear_int8(*layer, alphabet="signs", threads=THREADS),
        }
    )
    return {"case": f"linear {rows} x {columns}", "batch": batch, "bytes": tiles.nbytes} | dense_bytes(dense) | found


def convolution(channels: int, side: int, batch: int) -> Result:
    columns = channels * 9
    chosen = weights(channels, columns)
    tiles = tile(pack_rows(chosen), columns, 9)
    dense = torch.from_numpy(np.where(chosen, 1, -1).astype(np.float32)).reshape(channels, channels, 3, 3)
    images = np.random.default_rng(1).standard_normal((batch, channels, side, side)).astype(np.float32)
    values = torch.from_numpy(images)
    half, brain = dense.bfloat16(), values.bfloat16()
    place = {"kernel": (3, 3), "padding": (1, 1)}
    layer = (images, tiles, channels, columns)
    found = seconds(
        {
            "float32": lambda: F.conv2d(values, dense, padding=1),
            "bfloat16": lambda: F.conv2d(brain, half, padding=1),
            "binary": lambda: binary_convolution(*layer, **place, alphabet="signs", threads=THREADS),  # type: ignore[arg-type]
        }
    )
    name = f"3x3, {channels} to {channels}, {side} x {side}"
    return {"case": name, "batch": batch, "bytes": tiles.nbytes} | dense_bytes(dense) | found


def dense_bytes(dense: torch.Tensor) -> Result:
    return {"float32 bytes": dense.nbytes}


def show(results: list[Result]) -> None:
    print(f"{THREADS} threads, medians in ms; x: times as fast as dense float32 and bfloat16; last, bytes in memory")
    ways = ("float32", "bfloat16", "binary", "ternary", "int8")
    print(f"{'':27}{'batch':>6}" + "".join(f"{way:>10}" for way in ways) + f"{'x fp32':>8}{'x bf16':>8}{'bytes':>11}")
    for found in results:
        times = "".join(f"{found[way] * 1e3:10.3f}" if way in found else f"{'':10}" for way in ways)  # type: ignore[operator]
        ratios = "".join(f"{found[way] / found['binary']:8.1f}" for way in ways[:2])  # type: ignore[operator]
        print(f"{found['case']:27}{found['batch']:6}{times}{ratios}{found['bytes']:11,}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the medians, in seconds, as JSON")
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    torch.set_grad_enabled(False)
    found = [linear(*case) for case in LINEAR] + [convolution(*case) for case in CONVOLUTIONS]
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        show(found)
