"""A weight seen as a matrix: one row for each neuron or filter, read in blocks so that memory stays bounded."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightsmith.errors import InputError
from weightsmith.names import printable
from weightsmith.sources import Weight

Held = NDArray[Any] | Weight
"""Values as an array, laid out as PyTorch does, or a weight of a source, which knows its own layout."""

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


def _values(what: Held) -> NDArray[Any]:
    """The values of an array or a weight, in its own type and layout.

    Raises:
        InputError: no real numbers: what is complex has no order, and text no size.
    """
    array = what.read() if isinstance(what, Weight) else np.asarray(what)
    if array.dtype.kind not in "biufV" or array.dtype.type is np.void:
        advice = "take its real and imaginary parts" if array.dtype.kind == "c" else "give an array of numbers"
        raise InputError(f"{name_of(what)} holds values of type {array.dtype}, not real numbers: {advice}")
    return array


def neurons(what: Held) -> NDArray[Any]:
    """The matrix of a weight with a row for each neuron or filter, wherever its format counts them.

    All pictures and analyses of neurons see weights through this, so that the kernel of a Keras layer `(inputs,
    outputs)` or an ONNX MatMul has the same rows as PyTorch's `(outputs, inputs)`. Other axes keep their order.

    Args:
        what: an array (neurons first), a weight of a source or of a run's snapshot: `run.source()["fc1.weight"]`.

    Returns:
        Its own dtype, 2-D as `as_matrix`; a view where the layout allows it, so that a large file stays mapped.

    Raises:
        InputError, SourceError: the values cannot be read, or are no real numbers.
    """
    array = _values(what)
    if not isinstance(what, Weight) or array.ndim < 2:
        return as_matrix(array)
    return as_matrix(np.moveaxis(array, what.info.output_axis, 0))


def kernel(what: Held, file_format: str = "") -> NDArray[Any]:
    """The weight as `(outputs, inputs, *positions)`, as PyTorch lays out a convolution.

    Keras keeps `(*positions, inputs, outputs)`, TFLite `(outputs, *positions, inputs)` and, for one filter a channel,
    `(1, *positions, outputs)`.

    Args:
        what: an array, taken as it is, or a weight of a source.
        file_format: the source's, as only it tells where TFLite keeps the inputs.
    """
    array = _values(what)
    if not isinstance(what, Weight) or array.ndim < 2:
        return array
    first = np.moveaxis(array, what.info.output_axis, 0)
    return np.moveaxis(first, -1, 1) if inputs_last(what, file_format) else first


def inputs_last(weight: Weight, file_format: str = "") -> bool:
    """Whether a convolution's kernel keeps its inputs after its positions: in Keras, and in TFLite where outputs lead.

    TFLite's outputs on the last axis are those of one filter a channel, which have one input each.

    Args:
        weight: of a source.
        file_format: the source's.
    """
    if len(weight.shape) <= 2:
        return False
    axis = weight.info.output_axis % len(weight.shape)
    if file_format == "tflite":
        return axis == 0
    return axis == len(weight.shape) - 1


def each_matrix(what: Held, file_format: str = "") -> list[NDArray[Any]]:
    """The matrices that a weight multiplies by: one, or one for each position of a convolution's kernel.

    A stack of matrices (experts, positions) whose role is not `conv` gives one for each entry of its first axis.

    Raises:
        InputError: fewer than two dimensions, or no elements.
    """
    shape = what.shape if isinstance(what, Weight) else np.shape(what)
    if len(shape) < 2 or 0 in shape:
        shown = " x ".join(map(str, shape)) or "scalar"
        raise InputError(f"{name_of(what)} ({shown}) is no matrix: give a weight of two dimensions or more")
    if len(shape) == 2:
        return [neurons(what)]
    if isinstance(what, Weight) and what.role != "conv":
        array = _values(what)
        return list(array.reshape(-1, *array.shape[-2:]))
    laid_out = kernel(what, file_format)
    flat = laid_out.reshape(*laid_out.shape[:2], -1)
    return [flat[:, :, position] for position in range(flat.shape[2])]


def name_of(what: Held) -> str:
    """What messages call it."""
    return printable(what.name) if isinstance(what, Weight) else "the array"


def column_major(matrix: NDArray[Any]) -> bool:
    """Whether its columns lie back to back, so that passing over its rows would jump through memory or a file."""
    return matrix.flags.f_contiguous and not matrix.flags.c_contiguous


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


def norms(what: Held) -> Norms:
    """Row and column norms of a weight of any real dtype, in one pass in the order in which it lies in memory.

    Rows are its neurons or filters, as `neurons` counts them, and columns their inputs.
    """
    matrix = neurons(what)
    if column_major(matrix):
        columns, rows, _, bad, non_finite, zeros = _norms(matrix.T)
    else:
        rows, columns, bad, _, non_finite, zeros = _norms(matrix)
    return Norms(rows, columns, np.flatnonzero(bad).astype(np.int64), non_finite, zeros)


def _norms(
    matrix: NDArray[Any],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], int, int]:
    """Norms of rows and columns, which of them hold NaN or Inf, how many values do, and how many are zero."""
    rows, columns = np.zeros(matrix.shape[0]), np.zeros(matrix.shape[1])
    bad_rows, bad_columns = np.zeros(matrix.shape[0], np.bool_), np.zeros(matrix.shape[1], np.bool_)
    non_finite = zeros = 0
    for start, block in row_blocks(matrix):
        finite = np.isfinite(block)
        if not finite.all():
            bad_rows[start : start + len(block)] = ~finite.all(axis=1)
            bad_columns |= ~finite.all(axis=0)
            non_finite += int(finite.size - np.count_nonzero(finite))
            block[~finite] = 0.0
        zeros += int(np.count_nonzero(finite) - np.count_nonzero(block))
        # A float64 weight beyond 1e154 overflows its square: its norm is then honestly infinite.
        with np.errstate(over="ignore"):
            np.square(block, out=block)
            rows[start : start + len(block)] = block.sum(axis=1)
            columns += block.sum(axis=0)
    return np.sqrt(rows), np.sqrt(columns), bad_rows, bad_columns, non_finite, zeros
