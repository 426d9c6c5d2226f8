"""The same products in NumPy: for `WEIGHTSMITH_KERNELS=plain`, and for tests to compare with."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightsmith.kernels.xnor_words import pack_words, restore, unpack_words

_CHUNK = 1 << 22
"""Words of temporary results."""

_PER_BYTE = np.array([byte.bit_count() for byte in range(256)], np.uint8)


def ones(words: NDArray[np.uint64]) -> NDArray[Any]:
    """How many bits of each word are set."""
    if hasattr(np, "bitwise_count"):
        counted: NDArray[Any] = np.bitwise_count(words)
    else:  # NumPy 1 counts no bits
        counted = _PER_BYTE[np.ascontiguousarray(words)[..., None].view(np.uint8)].sum(-1, dtype=np.uint8)
    return counted


def dots(a: NDArray[np.uint64], w: NDArray[np.uint64], columns: int, alphabet: str) -> NDArray[np.int32]:
    """As `xnor.xnor_counts`."""
    weights = restore(w)
    found = np.zeros((a.shape[0], w.shape[0]), np.int64)
    block = max(_CHUNK // max(w.size, 1), 1)
    for start in range(0, a.shape[0], block):
        rows = a[start : start + block, None]
        if alphabet == "signs":
            found[start : start + block] = columns - 2 * ones(rows ^ weights).sum(-1, dtype=np.int64)
        else:
            both, alone = ones(rows & weights), ones(weights)
            found[start : start + block] = 2 * both.sum(-1, dtype=np.int64) - alone.sum(-1, dtype=np.int64)
    return found.astype(np.int32)


def scaled(found: NDArray[np.int32], scale: NDArray[np.float32], bias: NDArray[np.float32]) -> NDArray[np.float32]:
    """Dot products `[batch, rows]` as `xnor.xnor_linear` gives them; scale and bias may be empty."""
    times = scale if scale.size else np.float32(1)
    plus = bias if bias.size else np.float32(0)
    result: NDArray[np.float32] = found.astype(np.float32) * times + plus
    return result


def compared(found: NDArray[np.int32], threshold: NDArray[np.int32], flip: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Dot products `[..., rows]` as `xnor.xnor_linear_bits` gives them."""
    return pack_words((found >= threshold) != flip)


def convolved(
    image: NDArray[np.uint64],
    weights: NDArray[np.uint64],
    channels: int,
    geometry: tuple[tuple[int, int], tuple[int, int], tuple[int, int]],
    alphabet: str,
) -> NDArray[np.int32]:
    """Dot products int32[batch, height, width, outputs] of an image; `geometry` is stride, padding and dilation.

    Activations are -1, +1, and 0 in the padding; numbers so small are exact in float64.
    """
    stride, padding, dilation = geometry
    signs = np.where(unpack_words(image, channels), 1.0, -1.0)
    signs = np.pad(signs, ((0, 0), *((pad, pad) for pad in padding), (0, 0)))
    outputs, *kernel, _ = weights.shape
    rows = restore(weights.reshape(outputs, math.prod(weights.shape[1:]))).reshape(weights.shape)
    taps = np.where(unpack_words(rows, channels), 1.0, -1.0 if alphabet == "signs" else 0.0)
    height, width = (
        (size - step * (taps_in - 1) - 1) // skip + 1
        for size, step, taps_in, skip in zip(signs.shape[1:3], dilation, kernel, stride, strict=True)
    )
    found = np.zeros((len(image), height, width, outputs))
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            top, left = i * dilation[0], j * dilation[1]
            part = signs[:, top : top + height * stride[0] : stride[0], left : left + width * stride[1] : stride[1]]
            found += part[:, :height, :width] @ taps[:, i, j].T
    return found.astype(np.int32)
