"""How fast products of signs are beside PyTorch's dense ones: `python benchmarks/xnor.py [--json]`.

Activations are packed anew for every call, and calls are those a layer would make. Rivals take turns (see `turns.py`),
and medians are compared.
"""

import argparse
import json

import numpy as np
import torch
import torch.nn.functional as F
from turns import seconds

from weightsmith.kernels.bits import pack_rows
from weightsmith.kernels.xnor import pack_signs, words_of, xnor_linear, xnor_linear_bits
from weightsmith.kernels.xnor_convolution import (
    convolution_words_of,
    pack_image,
    xnor_convolution,
    xnor_convolution_bits,
)

THREADS = 2

SIZE = 4096
CHANNELS, PIXELS = 128, 28
Row = dict[str, str | int | float]


def linear(batch: int) -> Row:
    rng = np.random.default_rng(0)
    positive = rng.random((SIZE, SIZE)) < 0.5
    inputs = rng.standard_normal((batch, SIZE), np.float32)
    weights = words_of(pack_rows(positive), SIZE)
    threshold, flip = np.zeros(SIZE, np.int32), np.zeros(SIZE, np.bool_)
    dense = torch.from_numpy(np.where(positive, np.float32(1), np.float32(-1)))
    signs = torch.from_numpy(np.where(inputs >= 0, np.float32(1), np.float32(-1)))
    half, half_signs = dense.bfloat16(), signs.bfloat16()
    found = seconds(
        {
            "float32": lambda: F.linear(signs, dense),
            "bfloat16": lambda: F.linear(half_signs, half),
            "floats": lambda: xnor_linear(pack_signs(inputs), weights, SIZE, threads=THREADS),
            "bits": lambda: xnor_linear_bits(pack_signs(inputs), weights, SIZE, threshold, flip, threads=THREADS),
            "packing": lambda: pack_signs(inputs),
        }
    )
    return {"layer": f"linear {SIZE}x{SIZE}", "batch": batch, **found}


def convolution(batch: int) -> Row:
    rng = np.random.default_rng(0)
    positive = rng.random((CHANNELS, CHANNELS, 3, 3)) < 0.5
    inputs = rng.standard_normal((batch, CHANNELS, PIXELS, PIXELS), np.float32)
    weights = convolution_words_of(pack_rows(positive.reshape(CHANNELS, -1)), CHANNELS, (3, 3))
    threshold, flip = np.zeros(CHANNELS, np.int32), np.zeros(CHANNELS, np.bool_)
    dense = torch.from_numpy(np.where(positive, np.float32(1), np.float32(-1)))
    signs = torch.from_numpy(np.where(inputs >= 0, np.float32(1), np.float32(-1)))
    half, half_signs = dense.bfloat16(), signs.bfloat16()

    def floats() -> object:
        return xnor_convolution(pack_image(inputs), weights, CHANNELS, padding=(1, 1), threads=THREADS)

    def bits() -> object:
        image = pack_image(inputs)
        return xnor_convolution_bits(image, weights, CHANNELS, threshold, flip, padding=(1, 1), threads=THREADS)

    found = seconds(
        {
            "float32": lambda: F.conv2d(signs, dense, padding=1),
            "bfloat16": lambda: F.conv2d(half_signs, half, padding=1),
            "floats": floats,
            "bits": bits,
            "packing": lambda: pack_image(inputs),
        }
    )
    return {"layer": f"3x3 {CHANNELS}->{CHANNELS} on {PIXELS}x{PIXELS}", "batch": batch, **found}


def show(rows: list[Row]) -> None:
    print(f"signs by signs, {THREADS} threads, packing included; milliseconds, then ratios to what floats take")
    names = ("float32", "bfloat16", "floats", "bits", "packing")
    print(f"{'':24}{'batch':>6}" + "".join(f"{name:>10}" for name in names) + f"{'x float32':>11}{'x bfloat16':>12}")
    for row in rows:
        times = [float(row[name]) for name in names]
        print(f"{row['layer']:24}{row['batch']:6}" + "".join(f"{took * 1e3:10.3f}" for took in times), end="")
        print(f"{times[0] / times[2]:11.1f}{times[1] / times[2]:12.1f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one object, times in seconds")
    arguments = parser.parse_args()
    torch.set_num_threads(THREADS)
    with torch.inference_mode():
        measured = [linear(batch) for batch in (1, 16, 256)] + [convolution(batch) for batch in (1, 8)]
    if arguments.json:
        print(json.dumps({"threads": THREADS, "layers": measured}))
    else:
        show(measured)
