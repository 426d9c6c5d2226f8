import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from weightsmith.errors import InputError
from weightsmith.kernels.bits import pack_rows, unpack_rows

MATRICES = arrays.arrays(np.bool_, st.tuples(st.integers(0, 9), st.integers(0, 70)))


@given(MATRICES)
def test_unpacking_gives_back_what_was_packed(matrix: NDArray[np.bool_]) -> None:
    packed = pack_rows(matrix)
    assert packed.shape == (matrix.shape[0], -(-matrix.shape[1] // 8))
    assert np.array_equal(unpack_rows(packed, matrix.shape[1]), matrix)


@given(MATRICES)
def test_the_bits_of_a_row_are_the_digits_of_one_number(matrix: NDArray[np.bool_]) -> None:
    for row, packed in zip(matrix, pack_rows(matrix), strict=True):
        assert int.from_bytes(packed.tobytes(), "little") == sum(1 << k for k, bit in enumerate(row) if bit)


@given(MATRICES)
def test_the_order_of_the_memory_does_not_matter(matrix: NDArray[np.bool_]) -> None:
    assert np.array_equal(pack_rows(np.asfortranarray(matrix)), pack_rows(matrix))
    assert np.array_equal(pack_rows(matrix[::-1, ::-1]), pack_rows(matrix[::-1, ::-1].copy()))


def test_bits_behind_the_last_column_are_not_looked_at() -> None:
    assert unpack_rows(np.array([[0b11111101]], np.uint8), 3).tolist() == [[True, False, True]]


@pytest.mark.parametrize("wrong", [np.zeros(3, np.bool_), np.zeros((2, 3), np.uint8), np.zeros((1, 2, 3), np.bool_)])
def test_what_is_not_a_boolean_matrix_is_refused(wrong: NDArray[np.bool_]) -> None:
    with pytest.raises(InputError, match="boolean matrix"):
        pack_rows(wrong)


@pytest.mark.parametrize(
    ("wrong", "columns"),
    [(np.zeros((2, 3), np.uint8), 25), (np.zeros((2, 3), np.uint8), 16), (np.zeros((2, 3), np.int8), 24),
     (np.zeros(3, np.uint8), 24), (np.zeros((2, 0), np.uint8), -1)],
)  # fmt: skip
def test_bits_that_do_not_fit_the_columns_are_refused(wrong: NDArray[np.uint8], columns: int) -> None:
    with pytest.raises(InputError, match="columns"):
        unpack_rows(wrong, columns)
