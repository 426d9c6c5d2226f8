"""The order of bits in memory: there and back, and where each of them lies."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightsmith.errors import InputError
from weightsmith.kernels import binary_tiles
from weightsmith.kernels.binary_tiles import tile, untile
from weightsmith.kernels.bits import pack_rows

shapes = st.tuples(st.integers(0, 50), st.integers(0, 70), st.integers(1, 9))


def weights(rows, columns):
    return np.random.default_rng(rows + columns).random((rows, columns)) < 0.5


@given(shapes)
def test_untiling_gives_back_the_bits(shape):
    rows, channels, taps = shape
    bits = pack_rows(weights(rows, channels * taps))
    tiles = tile(bits, channels * taps, taps)
    assert tiles.ctypes.data % 64 == 0 or not tiles.size
    np.testing.assert_array_equal(untile(tiles, rows, channels * taps, taps), bits)


@given(shapes)
def test_each_weight_lies_where_the_text_says(shape):
    rows, channels, taps = shape
    chosen = weights(rows, channels * taps)
    tiles = tile(pack_rows(chosen), channels * taps, taps)
    filled = -(-channels // 4) * 4
    assert int(np.bitwise_count(tiles).sum()) == chosen.sum()
    for row in range(0, rows, 7):
        for channel in range(channels):
            for tap in range(taps):
                place = tap * filled + channel
                word = tiles[row // 16, place // 32, row % 16]
                assert bool(word >> np.uint32(place % 32) & 1) == chosen[row, channel * taps + tap]


def test_large_weights_are_brought_into_order_piece_by_piece(monkeypatch):
    chosen = weights(100, 90)
    bits = pack_rows(chosen)
    at_once = tile(bits, 90, 9)
    monkeypatch.setattr(binary_tiles, "_CHUNK", 90 * 32)
    np.testing.assert_array_equal(tile(bits, 90, 9), at_once)
    np.testing.assert_array_equal(untile(at_once, 100, 90, 9), bits)


def test_a_weight_takes_one_bit():
    assert tile(pack_rows(weights(256, 512)), 512).nbytes == 256 * 512 // 8


def test_columns_that_are_no_whole_number_for_each_tap_are_refused():
    with pytest.raises(InputError, match="10 columns"):
        tile(pack_rows(weights(2, 10)), 10, 9)


def test_tiles_of_another_weight_are_refused():
    with pytest.raises(InputError, match="tiles of 17 x 8"):
        untile(tile(pack_rows(weights(16, 8)), 8), 17, 8)
