"""Sparse products in plain NumPy: the reference, and what runs where the compiled loops are not wanted."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from weightsmith.kernels.sparse.forms import SparseWeight, dense_rows

_ROWS = 256
"""Rows that are dense at a time."""


def linear(inputs: NDArray[np.float32], weight: SparseWeight, bias: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """As `sparse_linear`, a few rows of the weight at a time."""
    outputs = np.empty((inputs.shape[0], weight.shape[0]), np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        for first in range(0, weight.shape[0], _ROWS):
            last = min(first + _ROWS, weight.shape[0])
            np.matmul(inputs, dense_rows(weight, first, last).T, out=outputs[:, first:last])
        return outputs if bias is None else outputs + bias


def convolution(
    inputs: NDArray[np.float32],
    weight: SparseWeight,
    bias: NDArray[np.float32] | None,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
) -> NDArray[np.float32]:
    """As `sparse_convolution`, by a matrix of all windows of each image."""
    channels = inputs.shape[1] // groups
    rows = weight.shape[0] // groups
    padded = np.pad(inputs, ((0, 0), (0, 0), *((size, size) for size in padding)))
    extent = tuple(step * (size - 1) + 1 for step, size in zip(dilation, kernel, strict=True))
    windows = sliding_window_view(padded, extent, axis=(2, 3))
    windows = windows[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
    height, width = windows.shape[2:4]
    results = []
    for group in range(groups):
        part = windows[:, group * channels : (group + 1) * channels].transpose(0, 2, 3, 1, 4, 5)
        flat = np.ascontiguousarray(part).reshape(inputs.shape[0] * height * width, weight.shape[1])
        dense = dense_rows(weight, group * rows, (group + 1) * rows)
        with np.errstate(invalid="ignore", over="ignore"):
            results.append((flat @ dense.T).reshape(inputs.shape[0], height, width, rows))
    outputs = np.ascontiguousarray(np.concatenate(results, axis=3).transpose(0, 3, 1, 2))
    return outputs if bias is None else outputs + bias[:, None, None]
