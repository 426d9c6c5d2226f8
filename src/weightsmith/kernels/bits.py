"""Rows of single bits, eight to a byte: the layout of binary weights and masks on disk."""

import numpy as np
from numpy.typing import NDArray

from weightsmith.errors import InputError


def pack_rows(positive: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Pack each row of a boolean matrix into bytes.

    Bit k of a row is bit `k % 8` of byte `k // 8`, the lowest first; bits behind the last column are 0. A set bit
    stands for +1, or for 1 where the other weight is 0; a clear one for -1, or 0.

    Args:
        positive: bool[rows, columns].

    Returns:
        uint8[rows, ceil(columns / 8)].

    Raises:
        InputError: `positive` is not a boolean matrix.
    """
    if positive.ndim != 2 or positive.dtype != np.bool_:
        raise InputError(f"rows to pack must be a boolean matrix, not {positive.dtype}{list(positive.shape)}")
    return np.packbits(positive, axis=1, bitorder="little")


def unpack_rows(bits: NDArray[np.uint8], columns: int) -> NDArray[np.bool_]:
    """Undo `pack_rows`.

    Args:
        bits: uint8[rows, ceil(columns / 8)].
        columns: of the matrix that was packed; bits behind them are not looked at.

    Returns:
        bool[rows, columns].

    Raises:
        InputError: `bits` is not a matrix of bytes that holds so many columns.
    """
    check_bits(bits, columns)
    return np.unpackbits(bits, axis=1, count=columns, bitorder="little").view(np.bool_)


def check_bits(bits: NDArray[np.uint8], columns: int) -> None:
    """Refuse what `pack_rows` cannot have made for a matrix with so many columns.

    Raises:
        InputError: as `unpack_rows`.
    """
    if columns < 0:
        raise InputError(f"a matrix of bits cannot have {columns} columns")
    if bits.ndim != 2 or bits.dtype != np.uint8 or bits.shape[1] != row_bytes(columns):
        raise InputError(
            f"bits of {columns} columns must be uint8[rows, {row_bytes(columns)}], not {bits.dtype}{list(bits.shape)}"
        )


def row_bytes(columns: int) -> int:
    """How many bytes one packed row takes."""
    return -(-columns // 8)
