"""Sparse weights in memory: the way in and out, their sizes, and what is refused."""

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from weightsmith.errors import InputError
from weightsmith.kernels.sparse import FORMS, Bitmask, Csr, Signs, candidates, from_dense, resident_bytes, to_dense


def drawn(shape, sparsity, form, seed=0):
    """A weight that the form can hold."""
    random = np.random.default_rng(seed)
    values = random.standard_normal(shape).astype(np.float32)
    if form == "signs":
        values = np.sign(values) * np.abs(random.standard_normal((shape[0], 1))).astype(np.float32)
    return np.where(random.random(shape) < sparsity, np.float32(0), values)


@given(
    st.integers(0, 40),
    st.integers(0, 200),
    st.sampled_from([0.0, 0.5, 0.9, 1.0]),
    st.sampled_from(FORMS),
    st.integers(0, 9),
)
def test_a_weight_comes_back_as_it_was(rows, columns, sparsity, form, seed):
    values = drawn((rows, columns), sparsity, form, seed)
    weight = from_dense(values, form)
    assert weight.shape == values.shape
    np.testing.assert_array_equal(to_dense(weight), values)
    if rows and form == "csr":
        theirs = scipy.sparse.csr_array(values)
        np.testing.assert_array_equal(weight.starts, theirs.indptr)
        np.testing.assert_array_equal(weight.columns, theirs.indices)
        np.testing.assert_array_equal(weight.values, theirs.data)


def test_long_rows_are_searched_in_slices():
    values = np.zeros((5, 1 << 20), np.float32)
    values[[0, 2, 4], [3, 1 << 19, (1 << 20) - 1]] = [1, 2, 3]
    weight = from_dense(values, "csr")
    assert weight.columns.tolist() == [3, 1 << 19, (1 << 20) - 1]
    assert weight.starts.tolist() == [0, 1, 1, 2, 2, 3]
    assert weight.columns.dtype == np.uint32


def test_sizes_are_what_the_forms_promise():
    values = drawn((64, 1024), 0.9, "signs")
    count = np.count_nonzero(values)
    assert resident_bytes(from_dense(values, "csr")) == 6 * count + 8 * 65
    assert resident_bytes(from_dense(values, "bitmask")) == 4 * count + 64 * 128 + 8 * 65
    assert resident_bytes(from_dense(values, "signs")) == 2 * count + 8 * 129 + 4 * 64
    shared = from_dense(np.sign(values), "signs")
    assert isinstance(shared, Signs)
    assert shared.scale.tolist() == [1.0]


def test_negative_zero_is_a_zero_and_nan_is_none():
    values = np.array([[-0.0, np.nan, 2.0]], np.float32)
    for form in ("csr", "bitmask"):
        weight = from_dense(values, form)
        assert weight.values.size == 2
        np.testing.assert_array_equal(to_dense(weight), [[0, np.nan, 2]])


def test_candidates_follow_the_sparsity():
    assert candidates((64, 64), 0.1) == ()
    assert candidates((64, 64), 0.5)[0] == "bitmask"
    assert candidates((64, 64), 0.8)[-1] == "bitmask"
    assert candidates((64, 64), 0.95) == ("signs", "csr")
    assert "bitmask" not in candidates((64, 8, 3, 3), 0.7)
    for sparsity in np.linspace(0, 1, 21):
        assert set(candidates((4, 4), float(sparsity))) <= set(FORMS)
    with pytest.raises(InputError, match="sparsity must be from 0 to 1, not 95"):
        candidates((4, 4), 95)


def test_what_is_no_sparse_weight_is_refused():
    good = np.ones((2, 3), np.float32)
    with pytest.raises(InputError, match="no sparse form is called 'coo'"):
        from_dense(good, "coo")
    for bad in (good[0], good.astype(np.float64)):
        with pytest.raises(InputError, match="must be a float32 matrix"):
            from_dense(bad, "csr")
    for row in ([1, 2, 0], [np.inf, np.inf, 0], [np.nan, 0, 0]):
        with pytest.raises(InputError, match="one magnitude in each row"):
            from_dense(np.array([row], np.float32), "signs")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"starts": [0, 2, 1]}, "never fall"),
        ({"starts": [1, 1, 2]}, "begin at 0"),
        ({"starts": [0, 1]}, r"starts .* must be int64\[3\]"),
        ({"starts": [0, 1, 9]}, r"columns .* must be uint16\[9\]"),
        ({"columns": [0, 3]}, "3 columns has a nonzero in column 3"),
        ({"columns": np.array([0, 1], np.int64)}, "must be uint16"),
        ({"values": [1.0]}, r"values .* must be float32\[2\]"),
        ({"shape": (-1, 3)}, "cannot be -1x3"),
        ({"shape": (2, 1 << 32)}, "can have 2147483648 columns"),
    ],
)
def test_arrays_that_lie_are_refused(change, message):
    kinds = {"starts": np.int64, "columns": np.uint16, "values": np.float32}
    parts = {"shape": (2, 3), "starts": [0, 1, 2], "columns": [0, 2], "values": [1.0, 2.0]} | change
    for name, kind in kinds.items():
        if isinstance(parts[name], list):
            parts[name] = np.array(parts[name], kind)
    with pytest.raises(InputError, match=message):
        Csr(**parts)


def test_masks_that_lie_are_refused():
    good = from_dense(np.ones((2, 3), np.float32), "bitmask")
    assert isinstance(good, Bitmask)
    with pytest.raises(InputError, match=r"must be uint64\[2, 1\]"):
        Bitmask((2, 3), good.starts, good.mask[:1], good.values)
    with pytest.raises(InputError, match="do not agree with the bits"):
        Bitmask((2, 3), good.starts, good.mask >> np.uint64(1), good.values)
    with pytest.raises(InputError, match="bits behind its last column, 2"):
        Bitmask((2, 3), good.starts, good.mask << np.uint64(1), good.values)
    with pytest.raises(InputError, match="values"):
        Bitmask((2, 3), good.starts, good.mask, good.values[:5])
