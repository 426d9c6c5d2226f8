"""Signs in 64-bit words: of activations, row by row, and of weights, in the order in which products want them.

A set bit stands for +1, a clear one for -1. Column k of a row is bit `k % 64` of word `k // 64`; bits behind the last
column are 0, in activations and weights alike, so that they never differ.

Weights (uint64[rows, words]) take no more memory than that, but hold it in an order of their own. Eight rows form a
tile in which word k of the eight lies together; the rows that fill no tile follow, one after another. In each whole
group of three words, x, y and z, of every row, `x ^ y ^ z` takes the place of z; `xnor_product` says what for.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from weightsmith.errors import InputError
from weightsmith.kernels.bits import check_bits
from weightsmith.kernels.parallel import map_blocks

LANES = 8
"""Rows in a tile, 64-bit words in a vector; LLVM splits vectors where registers hold fewer."""

GROUP = 3
"""Words that are counted together."""

WORD = 64
_BLOCK = 1 << 20
"""Values per task when signs are packed."""


def words_in(columns: int) -> int:
    """How many words hold so many signs."""
    return -(-columns // WORD)


def _emit_signs(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    values, position = arguments
    array = context.make_array(signature.args[0])(context, builder, values)
    vector = ir.VectorType(ir.FloatType(), WORD)
    place = builder.bitcast(builder.gep(array.data, [position]), vector.as_pointer())
    # An ordered comparison: NaN is not at least 0.
    signs = builder.fcmp_ordered(">=", builder.load(place, align=4), ir.Constant(vector, [0.0] * WORD))
    return builder.bitcast(signs, ir.IntType(WORD))


def _type_signs(typing: Any, values: Any, position: Any) -> Any:
    del typing, position
    return types.uint64(values, types.int64), _emit_signs


signs_at: Any = intrinsic(_type_signs)
"""The signs of 64 values of a flat float32 array, from a position on, as one uint64."""


def _emit_ones(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    del context, signature
    return builder.ctpop(arguments[0])


def _type_ones(typing: Any, word: Any) -> Any:
    del typing, word
    return types.int64(types.uint64), _emit_ones


ones_in: Any = intrinsic(_type_ones)
"""How many bits of a uint64 are set."""


@njit(nogil=True, cache=True)
def _pack(values: NDArray[np.float32], columns: int, start: int, stop: int, words: NDArray[np.uint64]) -> None:
    """Pack rows `start` to `stop` of flat float32 values."""
    whole = columns // 64
    for row in range(start, stop):
        first = row * columns
        for word in range(whole):
            words[row, word] = signs_at(values, first + word * 64)
        if columns % 64:
            rest = np.uint64(0)
            for column in range(whole * 64, columns):
                rest |= np.uint64(values[first + column] >= 0) << np.uint64(column % 64)
            words[row, whole] = rest


def pack_signs(inputs: NDArray[Any], threads: int | None = None) -> NDArray[np.uint64]:
    """Pack the signs of activations: +1 where a value is at least 0, as in training; both zeros are.

    NaN is not at least 0, so it counts as -1, as `torch.where(x >= 0, 1, -1)` has it.

    Args:
        inputs: float32[batch, columns]; any other type of number will do, more slowly.
        threads: most threads to use; by default the package's.

    Returns:
        uint64[batch, ceil(columns / 64)].

    Raises:
        InputError: `inputs` is not a matrix.
    """
    if inputs.ndim != 2:
        raise InputError(f"activations to pack must be a matrix, not an array of shape {list(inputs.shape)}")
    if inputs.dtype != np.float32:
        return pack_words(not_negative(inputs))
    batch, columns = inputs.shape
    words = np.empty((batch, words_in(columns)), np.uint64)
    values = inputs.ravel()
    if values.size <= _BLOCK:
        _pack(values, columns, 0, batch, words)
    else:
        rows = max(_BLOCK // 4 // columns, 1)
        map_blocks(lambda start, stop: _pack(values, columns, start, stop, words), batch, rows, threads)
    return words


def not_negative(inputs: NDArray[Any]) -> NDArray[np.bool_]:
    """Which values are at least 0, in any type of number; of some types NumPy warns that NaN is not comparable."""
    with np.errstate(invalid="ignore"):
        found: NDArray[np.bool_] = inputs >= 0
    return found


def pack_words(positive: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Pack booleans along the last axis: bool[..., columns] to uint64[..., ceil(columns / 64)]."""
    columns = positive.shape[-1]
    packed = np.zeros((*positive.shape[:-1], words_in(columns) * 8), np.uint8)
    packed[..., : -(-columns // 8)] = np.packbits(positive, axis=-1, bitorder="little")
    return _as_words(packed)


def _as_words(packed: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Bytes as words: uint8[..., 8 n] to uint64[..., n]."""
    shape = (*packed.shape[:-1], packed.shape[-1] // 8)
    # NumPy has no view of rows of no bytes.
    return packed.view("<u8").astype(np.uint64, copy=False) if packed.size else np.zeros(shape, np.uint64)


def unpack_words(words: NDArray[np.uint64], columns: int) -> NDArray[np.bool_]:
    """Undo `pack_words`: uint64[..., words] to bool[..., columns]."""
    if not words.size:
        return np.zeros((*words.shape[:-1], columns), np.bool_)
    packed = np.ascontiguousarray(words).astype("<u8", copy=False).view(np.uint8)
    return np.unpackbits(packed, axis=-1, count=columns, bitorder="little").view(np.bool_)


def unpack_signs(words: NDArray[np.uint64], columns: int) -> NDArray[np.float32]:
    """Give packed signs back as numbers.

    Args:
        words: uint64[..., ceil(columns / 64)], as of `pack_signs` or a layer that hands on bits.
        columns: of what was packed.

    Returns:
        float32[..., columns] of -1 and +1.

    Raises:
        InputError: the words do not hold so many columns.
    """
    if words.dtype != np.uint64 or words.shape[-1:] != (words_in(columns),):
        raise InputError(f"{columns} signs are not held by {words.dtype}{list(words.shape)}")
    return np.where(unpack_words(words, columns), np.float32(1), np.float32(-1))


def words_of(bits: NDArray[np.uint8], columns: int) -> NDArray[np.uint64]:
    """Bring rows of bits from the disk into the order in which products want weights.

    Args:
        bits: uint8[rows, ceil(columns / 8)], as of `bits.pack_rows`; a set bit is +1 (or 1 of {0, 1}).
        columns: of the weight matrix.

    Returns:
        uint64[rows, ceil(columns / 64)] in an order of its own; give it to `xnor_linear` and its like, or `bits_of`.

    Raises:
        InputError: `bits` does not hold so many columns.
    """
    check_bits(bits, columns)
    padded = np.zeros((bits.shape[0], words_in(columns) * 8), np.uint8)
    padded[:, : bits.shape[1]] = bits
    if columns % 8:
        padded[:, bits.shape[1] - 1] &= (1 << columns % 8) - 1
    return reorder(_as_words(padded))


def bits_of(words: NDArray[np.uint64], columns: int) -> NDArray[np.uint8]:
    """Undo `words_of`: uint8[rows, ceil(columns / 8)], bits behind the last column 0.

    Raises:
        InputError: the words do not hold so many columns.
    """
    if words.ndim != 2 or words.dtype != np.uint64 or words.shape[1] != words_in(columns):
        raise InputError(f"{columns} columns of weights are not held by {words.dtype}{list(words.shape)}")
    if not words.size:
        return np.zeros((words.shape[0], -(-columns // 8)), np.uint8)
    rows = restore(words).astype("<u8", copy=False)
    return np.ascontiguousarray(rows.view(np.uint8).reshape(words.shape[0], words.shape[1] * 8)[:, : -(-columns // 8)])


def reorder(rows: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Rows of words in the order of weights; uint64[rows, words] both."""
    count, words = rows.shape
    ordered = rows.copy()
    _combine(ordered)
    whole = count // LANES * LANES
    tiles = ordered[:whole].reshape(count // LANES, LANES, words).transpose(0, 2, 1)
    ordered[:whole] = tiles.reshape(whole, words)
    return ordered


def restore(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Undo `reorder`."""
    count, width = words.shape
    rows = words.copy()
    whole = count // LANES * LANES
    tiles = words[:whole].reshape(count // LANES, width, LANES).transpose(0, 2, 1)
    rows[:whole] = tiles.reshape(whole, width)
    _combine(rows)
    return rows


def _combine(rows: NDArray[np.uint64]) -> None:
    """Put `x ^ y ^ z` in place of z in every group of three words, or z in place of that."""
    grouped = rows.shape[1] // GROUP * GROUP
    for third in range(GROUP - 1, grouped, GROUP):
        rows[:, third] ^= rows[:, third - 1] ^ rows[:, third - 2]


@njit(nogil=True, cache=True)
def combine(flat: NDArray[np.uint64], words: int) -> None:
    """The same within interleaved tiles, in place: flat uint64, a multiple of `LANES * words`."""
    for tile in range(flat.size // max(LANES * words, 1)):
        for group in range(words // GROUP):
            first = (tile * words + group * GROUP) * LANES
            for lane in range(first, first + LANES):
                flat[lane + 2 * LANES] ^= flat[lane] ^ flat[lane + LANES]


@njit(nogil=True, cache=True)
def interleave(rows: NDArray[np.uint64], start: int, stop: int) -> NDArray[np.uint64]:
    """Rows `start` to `stop` of uint64[n, words] as tiles, flat; what completes the last tile is 0."""
    words = rows.shape[1]
    tiles = (stop - start + LANES - 1) // LANES
    flat = np.zeros(tiles * LANES * words, np.uint64)
    for row in range(start, stop):
        at = ((row - start) // LANES) * LANES * words + (row - start) % LANES
        for word in range(words):
            flat[at + word * LANES] = rows[row, word]
    combine(flat, words)
    return flat


@njit(nogil=True, cache=True)
def last_tile(weights: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The rows of weights that fill no tile as a tile, flat, what completes it 0; empty if there are none."""
    count, words = weights.shape
    whole = count // LANES * LANES
    flat = np.zeros(LANES * words if whole < count else 0, np.uint64)
    for row in range(whole, count):
        for word in range(words):
            flat[word * LANES + row - whole] = weights[row, word]
    return flat
