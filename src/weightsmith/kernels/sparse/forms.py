"""How a sparse weight is held in memory while its layer runs. Each form serves every batch size."""

from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightsmith.errors import InputError

WORD = 64
"""Columns per word of a mask."""

FORMS = ("csr", "bitmask", "signs")
"""Names that `from_dense` takes."""

_SET_BITS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1, dtype=np.uint8)
"""How many bits are set in each byte."""

_SLICE = 1 << 22
"""Elements of a dense weight that are unpacked or searched at a time."""


@dataclass(frozen=True, eq=False)
class Csr:
    """Compressed sparse rows: 6 bytes per nonzero (8 with more than 65,536 columns). Constant fan-in included.

    Attributes:
        shape: rows and columns of the weight.
        starts: int64[rows + 1]; the nonzeros of row n are those from starts[n] to starts[n + 1].
        columns: uint16[nonzeros], or uint32 where the weight has more than 65,536 columns.
        values: float32[nonzeros].

    Raises:
        InputError: the arrays do not describe a weight of this shape.
    """

    shape: tuple[int, int]
    starts: NDArray[np.int64]
    columns: NDArray[Any]
    values: NDArray[np.float32]

    def __post_init__(self) -> None:
        _check_rows(self.shape, self.starts, self.columns, self.shape[0])
        _check(self.values, "values", np.float32, self.columns.size)


@dataclass(frozen=True, eq=False)
class Bitmask:
    """One bit for each position and the values that are not zero: 4 bytes per nonzero and 1/8 per position.

    Attributes:
        shape: rows and columns of the weight.
        starts: int64[rows + 1], as in `Csr`.
        mask: uint64[rows, ceil(columns / 64)]; bit k % 64 of word k // 64 is set where column k is not zero, the
            lowest first. Bits behind the last column are clear.
        values: float32[nonzeros], row by row in the order of the columns.

    Raises:
        InputError: the arrays do not describe a weight of this shape.
    """

    shape: tuple[int, int]
    starts: NDArray[np.int64]
    mask: NDArray[np.uint64]
    values: NDArray[np.float32]

    def __post_init__(self) -> None:
        rows, columns = self.shape
        words = -(-columns // WORD)
        if self.mask.shape != (rows, words) or self.mask.dtype != np.uint64 or not self.mask.flags.c_contiguous:
            given = f"{self.mask.dtype}{list(self.mask.shape)}"
            raise InputError(f"the mask of a {rows}x{columns} weight must be uint64[{rows}, {words}], not {given}")
        _check(self.starts, "starts", np.int64, rows + 1)
        counts = _SET_BITS[self.mask.view(np.uint8)].sum(axis=1, dtype=np.int64)
        if self.starts[0] != 0 or not np.array_equal(np.diff(self.starts), counts):
            raise InputError("the starts of a bitmask do not agree with the bits set in its rows")
        if columns % WORD and np.any(self.mask[:, -1] >> np.uint64(columns % WORD)):
            raise InputError(f"a bitmask has bits behind its last column, {columns - 1}")
        _check(self.values, "values", np.float32, int(self.starts[-1]))


@dataclass(frozen=True, eq=False)
class Signs:
    """Rows of one magnitude each, as binary and sparse weights are: 2 bytes per nonzero, and no values at all.

    Attributes:
        shape: rows and columns of the weight.
        starts: int64[2 * rows + 1]; the columns of the positive weights of row n begin at starts[2 * n], those of
            the negative ones at starts[2 * n + 1].
        columns: as in `Csr`.
        scale: float32[1] or float32[rows]; the magnitude of all weights, or of each row's.

    Raises:
        InputError: the arrays do not describe a weight of this shape.
    """

    shape: tuple[int, int]
    starts: NDArray[np.int64]
    columns: NDArray[Any]
    scale: NDArray[np.float32]

    def __post_init__(self) -> None:
        _check_rows(self.shape, self.starts, self.columns, 2 * self.shape[0])
        _check(self.scale, "scale", np.float32, 1 if self.scale.size == 1 else self.shape[0])


SparseWeight = Csr | Bitmask | Signs


def from_dense(values: NDArray[np.float32], form: str) -> SparseWeight:
    """Put a weight into a form that skips its zeros (of either sign).

    Args:
        values: float32[rows, columns].
        form: one of `FORMS`.

    Raises:
        InputError: no such form or not a float32 matrix; for `signs`, a row holds more than one magnitude.
    """
    if form not in FORMS:
        raise InputError(f"no sparse form is called '{form}': give one of {', '.join(FORMS)}")
    if values.ndim != 2 or values.dtype != np.float32:
        raise InputError(f"a sparse weight must be a float32 matrix, not {values.dtype}{list(values.shape)}")
    shape = (values.shape[0], values.shape[1])
    if form == "bitmask":
        present = values != 0
        return Bitmask(shape, _offsets(present.sum(axis=1)), _masked(present), values[present])
    if form == "csr":
        counts, columns = _nonzeros(values != 0)
        return Csr(shape, _offsets(counts), columns, values[values != 0])
    magnitudes = np.abs(values)
    scale = magnitudes.max(axis=1, initial=0)
    if not np.all(((magnitudes == 0) | (magnitudes == scale[:, None])) & np.isfinite(magnitudes)):
        raise InputError("the form 'signs' needs finite weights of one magnitude in each row: use 'csr' or 'bitmask'")
    apart = np.stack([values > 0, values < 0], axis=1).reshape(2 * shape[0], shape[1])
    counts, columns = _nonzeros(apart)
    shared = np.unique(scale[scale > 0])
    return Signs(shape, _offsets(counts), columns, shared if shared.size == 1 else scale)


def to_dense(weight: SparseWeight) -> NDArray[np.float32]:
    """Undo `from_dense`.

    Returns:
        float32[rows, columns].
    """
    return dense_rows(weight, 0, weight.shape[0])


def dense_rows(weight: SparseWeight, first: int, last: int) -> NDArray[np.float32]:
    """Rows first to last (not included) of a weight, as float32[last - first, columns]."""
    dense = np.zeros((last - first, weight.shape[1]), np.float32)
    if isinstance(weight, Bitmask):
        values = weight.values[weight.starts[first] : weight.starts[last]]
        dense[present_rows(weight, first, last)] = values
        return dense
    each = 2 if isinstance(weight, Signs) else 1
    starts = weight.starts[each * first : each * last + 1]
    columns = weight.columns[starts[0] : starts[-1]]
    lines = np.repeat(np.arange(each * (last - first)), np.diff(starts))
    if isinstance(weight, Csr):
        dense[lines, columns] = weight.values[starts[0] : starts[-1]]
        return dense
    rows = lines // 2
    scale = np.broadcast_to(weight.scale, weight.shape[:1])[first:last][rows]
    dense[rows, columns] = np.where(lines % 2, -scale, scale)
    return dense


def present_rows(weight: Bitmask, first: int, last: int) -> NDArray[np.bool_]:
    """Where rows first to last (not included) are not zero, as bool[last - first, columns]."""
    part = weight.mask[first:last].astype("<u8").view(np.uint8)
    return np.unpackbits(part, axis=1, count=weight.shape[1], bitorder="little").view(np.bool_)


def resident_bytes(weight: SparseWeight) -> int:
    """Bytes that a weight takes in memory."""
    arrays = (getattr(weight, field.name) for field in fields(weight))
    return sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))


def candidates(shape: tuple[int, ...], sparsity: float) -> tuple[str, ...]:
    """The forms worth timing for a weight, the most promising first; none where dense is sure to win.

    `signs` is among them for every sparsity at which `csr` is, and needs weights of one magnitude in each row.

    Args:
        shape: of the weight: (rows, columns), or (out, in per group, height, width) of a convolution, which has no
            bitmask.
        sparsity: fraction of zeros, from 0 to 1.

    Raises:
        InputError: a sparsity outside 0 to 1.
    """
    if not 0 <= sparsity <= 1:
        raise InputError(f"sparsity must be from 0 to 1, not {sparsity}")
    masked = ("bitmask",) if len(shape) == 2 and 0.3 <= sparsity < 0.9 else ()
    listed = ("signs", "csr") if sparsity >= 0.5 else ()
    return masked + listed if sparsity < 0.6 else listed + masked


def column_dtype(columns: int) -> type[np.uint16 | np.uint32]:
    """The type of the column indices of a weight with so many columns.

    Raises:
        InputError: more columns than a sparse product can index.
    """
    if columns > 1 << 31:
        raise InputError(f"a sparse weight can have 2147483648 columns, not {columns}")
    return np.uint16 if columns <= 1 << 16 else np.uint32


def _nonzeros(present: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """How many positions are set in each row, and their columns; found slice by slice, as indices are large."""
    rows, columns = present.shape
    kind = column_dtype(columns)
    step = max(1, _SLICE // max(1, columns))
    bounds = pairwise([*range(0, rows, step), rows])
    parts = [np.nonzero(present[first:last])[1].astype(kind) for first, last in bounds]
    return present.sum(axis=1, dtype=np.int64), np.concatenate([np.empty(0, kind), *parts])


def _offsets(counts: NDArray[Any]) -> NDArray[np.int64]:
    starts = np.zeros(counts.size + 1, np.int64)
    np.cumsum(counts, out=starts[1:])
    return starts


def _masked(present: NDArray[np.bool_]) -> NDArray[np.uint64]:
    rows, columns = present.shape
    words = -(-columns // WORD)
    packed = np.zeros((rows, 8 * words), np.uint8)
    packed[:, : -(-columns // 8)] = np.packbits(present, axis=1, bitorder="little")
    return packed.view("<u8").astype(np.uint64, copy=False)


def _check(array: NDArray[Any], name: str, dtype: type[np.generic], size: int) -> None:
    if array.dtype != dtype or array.shape != (size,) or not array.flags.c_contiguous:
        expected = f"{np.dtype(dtype)}[{size}]"
        raise InputError(f"{name} of a sparse weight must be {expected}, not {array.dtype}{list(array.shape)}")


def _check_rows(shape: tuple[int, int], starts: NDArray[np.int64], columns: NDArray[Any], lines: int) -> None:
    """Kernels believe what this has checked."""
    if min(shape) < 0:
        raise InputError(f"a sparse weight cannot be {shape[0]}x{shape[1]}")
    _check(starts, "starts", np.int64, lines + 1)
    if starts[0] != 0 or np.any(np.diff(starts) < 0):
        raise InputError("the starts of a sparse weight must begin at 0 and never fall")
    _check(columns, "columns", column_dtype(shape[1]), int(starts[-1]))
    if columns.size and int(columns.max()) >= shape[1]:
        raise InputError(f"a sparse weight with {shape[1]} columns has a nonzero in column {int(columns.max())}")
