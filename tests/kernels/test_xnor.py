"""Products of signs against whole-number products in NumPy."""

from concurrent.futures import ThreadPoolExecutor

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightsmith.errors import InputError
from weightsmith.kernels import xnor_plain
from weightsmith.kernels.bits import pack_rows
from weightsmith.kernels.xnor import (
    bits_of,
    pack_signs,
    unpack_signs,
    words_of,
    xnor_counts,
    xnor_linear,
    xnor_linear_bits,
)
from weightsmith.kernels.xnor_product import multiply
from weightsmith.kernels.xnor_words import interleave

LOWEST, HIGHEST = -(2**31), 2**31 - 1
SHAPES = [
    (1, 1, 1),
    (1, 24, 64),
    (2, 25, 192),
    (5, 13, 200),
    (4, 8, 320),
    (0, 5, 7),
    (3, 0, 9),
    (300, 30, 1),
    (9, 50, 383),
    (3, 4, 0),
]


def layer(batch, rows, columns, seed=0):
    """Activations, which weights are set, and the same as whole numbers: signs, and signs or {0, 1}."""
    rng = np.random.default_rng(seed)
    inputs = rng.standard_normal((batch, columns), np.float32)
    positive = rng.random((rows, columns)) < 0.5
    signs = np.where(inputs >= 0, 1, -1).astype(np.int64)
    return inputs, positive, signs, {"signs": np.where(positive, 1, -1), "bits": positive.astype(np.int64)}


def check(batch, rows, columns, alphabet, seed=0, threads=None):
    inputs, positive, signs, weights = layer(batch, rows, columns, seed)
    rng = np.random.default_rng(seed)
    a, w = pack_signs(inputs), words_of(pack_rows(positive), columns)
    options = {"alphabet": alphabet, "threads": threads}
    dots = (signs @ weights[alphabet].T).astype(np.int32)
    found = xnor_counts(a, w, columns, **options)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, dots)
    scale, bias = rng.standard_normal(rows, np.float32), rng.standard_normal(rows, np.float32)
    scaled = xnor_linear(a, w, columns, scale, bias, **options)
    assert scaled.dtype == np.float32
    np.testing.assert_array_equal(scaled, dots.astype(np.float32) * scale + bias)
    np.testing.assert_array_equal(xnor_linear(a, w, columns, **options), dots)
    threshold, flip = rng.integers(-4, 5, rows, np.int32), rng.random(rows) < 0.5
    bits = xnor_linear_bits(a, w, columns, threshold, flip, **options)
    assert bits.shape == (batch, -(-rows // 64))
    np.testing.assert_array_equal(unpack_signs(bits, rows), np.where((dots >= threshold) != flip, 1, -1))
    if rows % 64 and batch:
        assert not (bits[:, -1] >> np.uint64(rows % 64)).any()


@pytest.mark.parametrize("alphabet", ["signs", "bits"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kernels", ["", "plain"])
def test_products_are_those_of_whole_numbers(monkeypatch, kernels, shape, alphabet):
    monkeypatch.setenv("WEIGHTSMITH_KERNELS", kernels)
    check(*shape, alphabet)


@given(
    st.integers(0, 20), st.integers(0, 70), st.integers(0, 700), st.sampled_from(["signs", "bits"]), st.integers(0, 99)
)
def test_products_of_any_shape_are_those_of_whole_numbers(batch, rows, columns, alphabet, seed):
    check(batch, rows, columns, alphabet, seed)


@pytest.mark.parametrize(("batch", "rows"), [(70, 640), (640, 70)])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_products_shared_between_threads_are_the_same(batch, rows, threads):
    check(batch, rows, 3000, "signs", threads=threads)


def test_many_python_threads_at_once_find_the_same():
    inputs, positive, signs, weights = layer(33, 500, 1000)
    w, threshold, flip = words_of(pack_rows(positive), 1000), np.zeros(500, np.int32), np.zeros(500, np.bool_)
    dots = signs @ weights["signs"].T

    def once(_):
        a = pack_signs(inputs)
        return xnor_counts(a, w, 1000, threads=2), xnor_linear_bits(a, w, 1000, threshold, flip, threads=2)

    with ThreadPoolExecutor(8) as pool:
        for counts, bits in pool.map(once, range(40)):
            np.testing.assert_array_equal(counts, dots)
            np.testing.assert_array_equal(unpack_signs(bits, 500), np.where(dots >= 0, 1, -1))


def test_thresholds_are_reached_by_ties_and_extremes_hold():
    inputs, positive, signs, weights = layer(6, 20, 100)
    a, w = pack_signs(inputs), words_of(pack_rows(positive), 100)
    dots = (signs @ weights["signs"].T).astype(np.int32)
    for row in range(6):
        for above in (0, 1, 2):
            # Dot products of 100 signs are even, so one more than a dot product is a threshold between two of them.
            bits = xnor_linear_bits(a, w, 100, dots[row] + np.int32(above), np.zeros(20, np.bool_))
            assert (unpack_signs(bits, 20)[row] == (1 if above == 0 else -1)).all()
    for threshold, expected in ((LOWEST, 1), (HIGHEST, -1)):
        limits = np.full(20, threshold, np.int32)
        for flip, sign in ((False, expected), (True, -expected)):
            bits = xnor_linear_bits(a, w, 100, limits, np.full(20, flip))
            assert (unpack_signs(bits, 20) == sign).all()


def test_equal_and_opposite_rows_have_the_largest_products():
    same = np.ones((1, 4097), np.bool_)
    w = words_of(pack_rows(np.concatenate([same, ~same])), 4097)
    a = pack_signs(np.ones((1, 4097), np.float32))
    np.testing.assert_array_equal(xnor_counts(a, w, 4097), [[4097, -4097]])


def test_one_scale_and_one_bias_serve_all_rows():
    inputs, positive, signs, weights = layer(3, 30, 90)
    a, w = pack_signs(inputs), words_of(pack_rows(positive), 90)
    scale, bias = np.array([0.3], np.float32), np.array([-2], np.float32)
    expected = (signs @ weights["signs"].T).astype(np.float32) * scale + bias
    np.testing.assert_array_equal(xnor_linear(a, w, 90, scale, bias), expected)


@pytest.mark.parametrize("columns", [1, 3, 63, 64, 65, 129])
def test_zeros_are_positive_and_nan_is_not(columns):
    values = np.resize(np.array([0.0, -0.0, np.nan, -np.nan, np.inf, -np.inf, 1e-45, -1e-45], np.float32), columns)
    with np.errstate(invalid="ignore"):
        expected = np.where(values >= 0, 1, -1)
    for kind in (np.float32, np.float64, np.float16, ml_dtypes.bfloat16):
        with np.errstate(invalid="ignore", under="ignore", over="ignore"):
            given_values = values.astype(kind)
            wanted = expected if kind in (np.float32, np.float64) else np.where(given_values >= 0, 1, -1)
        np.testing.assert_array_equal(unpack_signs(pack_signs(given_values[None]), columns)[0], wanted)


def test_signs_of_double_precision_are_not_lost_in_single():
    assert unpack_signs(pack_signs(np.array([[-1e-300, 1e-300]])), 2).tolist() == [[-1, 1]]


@given(st.integers(0, 9), st.integers(0, 200))
def test_signs_come_back(batch, columns):
    inputs = np.random.default_rng(columns).standard_normal((batch, columns), np.float32)
    np.testing.assert_array_equal(unpack_signs(pack_signs(inputs), columns), np.where(inputs >= 0, 1, -1))


def test_large_and_strided_activations_are_packed():
    inputs = np.random.default_rng(0).standard_normal((2000, 1400), np.float32)
    for part in (inputs, inputs[::2, 1::3], inputs.T):
        np.testing.assert_array_equal(unpack_signs(pack_signs(part), part.shape[1]) > 0, part >= 0)


@given(st.integers(0, 40), st.integers(0, 700))
def test_weights_come_back_and_take_no_more_memory(rows, columns):
    bits = pack_rows(np.random.default_rng(rows).random((rows, columns)) < 0.5)
    words = words_of(bits, columns)
    assert words.shape == (rows, -(-columns // 64))
    np.testing.assert_array_equal(bits_of(words, columns), bits)


def test_bits_behind_the_last_column_are_cleared():
    words = words_of(np.full((3, 1), 255, np.uint8), 3)
    np.testing.assert_array_equal(bits_of(words, 3), np.full((3, 1), 7))


def test_strided_words_are_taken_as_they_are():
    inputs, positive, signs, weights = layer(8, 12, 130)
    a, w = pack_signs(inputs), words_of(pack_rows(positive), 130)
    wide = np.zeros((8, 6), np.uint64)
    wide[:, ::2] = a
    np.testing.assert_array_equal(xnor_counts(wide[:, ::2], w, 130), signs @ weights["signs"].T)


def test_places_beyond_two_to_the_31_bits_are_found(tmp_path):
    # 4 GB of weights, a hole in a file but for their end: an overflow of 32 bits would land elsewhere.
    words, tile = 1 << 12, 8 << 12
    begin = (1 << 29) + tile
    lanes = np.memmap(tmp_path / "weights", np.uint64, "w+", shape=begin + tile).view(np.ndarray)
    rows = np.random.default_rng(0).integers(0, 2**63, (8, words), np.uint64)
    lanes[begin:] = interleave(rows, 0, 8)
    counts = np.zeros(64, np.int32)
    multiply(lanes, begin, 1, interleave(rows, 0, 8), 0, 8, words, counts, 0)
    np.testing.assert_array_equal(counts.reshape(8, 8), xnor_plain.ones(rows[:, None] ^ rows).sum(-1, dtype=np.int64))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a": np.zeros((2, 3), np.uint64)}, "must be uint64"),
        ({"a": np.zeros((2, 2), np.int64)}, "must be uint64"),
        ({"w": np.zeros(2, np.uint64)}, "must be uint64"),
        ({"columns": 129}, "129 columns are not held by 2 words"),
        ({"columns": -1}, "-1 columns"),
        ({"alphabet": "ternary"}, "give 'signs' or 'bits'"),
        ({"scale": np.ones(5, np.float32)}, r"scale of 4 rows must be float32\[1\] or float32\[4\]"),
        ({"bias": np.ones(4)}, "bias of 4 rows"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    arguments = {"a": np.zeros((2, 2), np.uint64), "w": np.zeros((4, 2), np.uint64), "columns": 128} | change
    with pytest.raises(InputError, match=message):
        xnor_linear(**arguments)


def test_more_columns_than_a_dot_product_can_count_are_refused():
    huge = np.broadcast_to(np.uint64(0), (1, 1 << 26))
    with pytest.raises(InputError, match="more than 2147483647"):
        xnor_counts(huge, huge, 1 << 31)


@pytest.mark.parametrize(
    ("threshold", "flip"),
    [
        (np.zeros(3, np.int32), np.zeros(4, np.bool_)),
        (np.zeros(4, np.int64), np.zeros(4, np.bool_)),
        (np.zeros(4, np.int32), np.zeros(4, np.uint8)),
    ],
)
def test_thresholds_that_do_not_fit_are_refused(threshold, flip):
    with pytest.raises(InputError, match="of 4 rows must be"):
        xnor_linear_bits(np.zeros((2, 2), np.uint64), np.zeros((4, 2), np.uint64), 128, threshold, flip)


def test_unknown_kernels_are_refused(monkeypatch):
    monkeypatch.setenv("WEIGHTSMITH_KERNELS", "magic")
    with pytest.raises(InputError, match="WEIGHTSMITH_KERNELS is 'magic'"):
        xnor_counts(np.zeros((2, 2), np.uint64), np.zeros((4, 2), np.uint64), 128)


def test_wrong_shapes_to_pack_are_refused():
    with pytest.raises(InputError, match="must be a matrix"):
        pack_signs(np.zeros(3, np.float32))
    with pytest.raises(InputError, match="65 signs are not held by"):
        unpack_signs(np.zeros((1, 1), np.uint64), 65)
    with pytest.raises(InputError, match="65 columns of weights"):
        bits_of(np.zeros((1, 1), np.uint64), 65)


def test_bits_are_counted_without_numpy_2(monkeypatch):
    words = np.random.default_rng(0).integers(0, 2**63, (5, 7), np.uint64)
    expected = np.bitwise_count(words)
    monkeypatch.delattr(np, "bitwise_count")
    np.testing.assert_array_equal(xnor_plain.ones(words), expected)


def test_a_large_batch_is_split_by_its_rows():
    random = np.random.default_rng(8)
    inputs, positive = random.standard_normal((300, 4100), np.float32), random.random((600, 4100)) < 0.5
    words = words_of(pack_rows(positive), 4100)
    counts = xnor_counts(pack_signs(inputs), words, 4100, threads=2)
    signs = np.where(inputs >= 0, np.float32(1), np.float32(-1))
    np.testing.assert_array_equal(counts, signs @ np.where(positive, np.float32(1), np.float32(-1)).T)
