"""A weight seen as a matrix: one row for each neuron or filter, read in blocks so that memory stays bounded."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK_CELLS = 1 << 21
"""Cells converted to float64 at a time: 16 MiB, small beside any weight worth blocking."""


def as_matrix(array: NDArray[Any]) -> NDArray[Any]:
    """The weight as a 2-D array, without a change of dtype and without a copy where the layout allows it.

    A convolution `(filters, channels, height, width)` becomes `(filters, channels * height * width)`; a vector of n
    values (a bias, the scale of a norm) becomes `(n, 1)`; a scalar becomes `(1, 1)`.
    """
    if array.ndim <= 1:
        return array.reshape(-1, 1)
    columns = 1
    for length in array.shape[1:]:
        columns *= length
    return array.reshape(array.shape[0], columns)


def row_blocks(matrix: NDArray[Any], cells: int = BLOCK_CELLS) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Consecutive bands of rows as float64, each with the index of its first row; a band holds at least one row."""
    height = max(1, cells // max(1, matrix.shape[1]))
    for start in range(0, matrix.shape[0], height):
        yield start, np.asarray(matrix[start : start + height]).astype(np.float64)


@dataclass(frozen=True)
class Norms:
    """Euclidean norms over the finite values of a matrix.

    Attributes:
        rows: float64[rows].
        columns: float64[columns].
        non_finite_rows: int64 indices of the rows that hold NaN or Inf.
        non_finite: number of NaN and Inf values, which count as zero in the norms.
        zeros: number of exact zeros.
    """

    rows: NDArray[np.float64]
    columns: NDArray[np.float64]
    non_finite_rows: NDArray[np.int64]
    non_finite: int
    zeros: int


def norms(matrix: NDArray[Any]) -> Norms:
    """Row and column norms of a matrix of any real dtype, in one pass."""
    rows = np.zeros(matrix.shape[0])
    columns = np.zeros(matrix.shape[1])
    bad_rows: list[NDArray[np.int64]] = []
    non_finite = zeros = 0
    for start, block in row_blocks(matrix):
        finite = np.isfinite(block)
        if not finite.all():
            bad_rows.append(start + np.flatnonzero(~finite.all(axis=1)))
            non_finite += int(finite.size - np.count_nonzero(finite))
            block[~finite] = 0.0
        zeros += int(np.count_nonzero(finite) - np.count_nonzero(block))
        # A float64 weight beyond 1e154 overflows its square: its norm is then honestly infinite.
        with np.errstate(over="ignore"):
            np.square(block, out=block)
            rows[start : start + len(block)] = block.sum(axis=1)
            columns += block.sum(axis=0)
    indices = np.concatenate(bad_rows).astype(np.int64) if bad_rows else np.zeros(0, np.int64)
    return Norms(np.sqrt(rows), np.sqrt(columns), indices, non_finite, zeros)
