"""The form in which binary weights stay in memory: one bit each, in the order the kernels read them."""

import numpy as np
from numpy.typing import NDArray

from weightsmith.errors import InputError
from weightsmith.kernels.binary_loop import LANES, WORD
from weightsmith.kernels.bits import check_bits, pack_rows, row_bytes, unpack_rows

_CHUNK = 2**24
"""Weights that are unpacked at a time while layouts change."""

Tiles = NDArray[np.uint32]
"""uint32[ceil(rows / 16), words, 16]: one word holds 32 columns of a row, the first in the lowest bit."""


def tile(bits: NDArray[np.uint8], columns: int, taps: int = 1) -> Tiles:
    """Bring packed rows into the order of the kernels.

    The columns of a convolution, ordered by channel and then by tap as in `weight.reshape(rows, -1)`, become ordered
    by tap and then by channel, the channels of each tap filled up to a multiple of four with clear bits.

    Args:
        bits: uint8[rows, ceil(columns / 8)], as `pack_rows` gives it.
        columns: weights in a row.
        taps: places of the kernel (height times width), 1 for a linear layer.

    Returns:
        uint32[ceil(rows / 16), words, 16] at a multiple of 64 bytes; rows and columns that do not exist are clear.

    Raises:
        InputError: `bits` does not hold so many columns, or they are not a whole number for each tap.
    """
    check_bits(bits, columns)
    rows = bits.shape[0]
    tiles = _lined_up((-(-rows // LANES), words_of(columns, taps), LANES))
    step = _rows_at_a_time(columns)
    for start in range(0, rows if columns else 0, step):
        part = unpack_rows(bits[start : start + step], columns)
        weights = part.reshape(len(part), columns // taps, taps)
        filled = np.zeros((-(-len(part) // LANES) * LANES, tiles.shape[1] * WORD), np.bool_)
        _taps_first(filled, columns, taps)[: len(part)] = weights.transpose(0, 2, 1)
        words = pack_rows(filled).view("<u4").reshape(-1, LANES, tiles.shape[1])
        tiles[start // LANES :][: len(words)] = words.transpose(0, 2, 1)
    return tiles


def untile(tiles: Tiles, rows: int, columns: int, taps: int = 1) -> NDArray[np.uint8]:
    """Undo `tile`.

    Args:
        tiles: as `tile` gives them.
        rows: of the weight.
        columns: of the weight.
        taps: as given to `tile`.

    Returns:
        uint8[rows, ceil(columns / 8)].

    Raises:
        InputError: the tiles are not those of such a weight.
    """
    check_tiles(tiles, rows, columns, taps)
    bits = np.empty((rows, row_bytes(columns)), np.uint8)
    step = _rows_at_a_time(columns)
    for start in range(0, rows if columns else 0, step):
        part = tiles[start // LANES : (start + step) // LANES].transpose(0, 2, 1).astype("<u4", order="C")
        flat = part.reshape(-1, tiles.shape[1]).view(np.uint8)[: rows - start]
        ordered = _taps_first(unpack_rows(flat, tiles.shape[1] * WORD), columns, taps)
        bits[start : start + step] = pack_rows(ordered.transpose(0, 2, 1).reshape(len(flat), columns))
    return bits


def words_of(columns: int, taps: int = 1) -> int:
    """Words that hold a row of so many columns.

    Raises:
        InputError: the columns are not a whole number for each tap.
    """
    if taps < 1 or columns % taps:
        raise InputError(f"{columns} columns cannot be those of a kernel of {taps} places")
    return -(-(-(-columns // taps // 4) * 4 * taps) // WORD)


def check_tiles(tiles: Tiles, rows: int, columns: int, taps: int = 1) -> None:
    """Refuse tiles that are not those of a weight of this shape.

    Raises:
        InputError: another shape, type or order of memory.
    """
    expected = (-(-rows // LANES), words_of(columns, taps), LANES)
    if tiles.shape != expected or tiles.dtype != np.uint32 or not tiles.flags.c_contiguous:
        raise InputError(
            f"tiles of {rows} x {columns} weights must be uint32{list(expected)} in C order, "
            f"not {tiles.dtype}{list(tiles.shape)}"
        )


def _taps_first(flat: NDArray[np.bool_], columns: int, taps: int) -> NDArray[np.bool_]:
    """A view of the weights alone among what fills them up: bool[rows, taps, channels]."""
    channels = columns // taps
    filled = -(-channels // 4) * 4
    return flat[:, : taps * filled].reshape(len(flat), taps, filled)[:, :, :channels]


def _rows_at_a_time(columns: int) -> int:
    return max(_CHUNK // max(columns, 1) // LANES, 1) * LANES


def _lined_up(shape: tuple[int, ...]) -> Tiles:
    """Zeros at a multiple of 64 bytes: no tile crosses a line of the cache."""
    size = int(np.prod(shape, dtype=np.int64))
    room = np.zeros(size + LANES, np.uint32)
    skip = -(room.ctypes.data // room.itemsize) % LANES
    return room[skip : skip + size].reshape(shape)
