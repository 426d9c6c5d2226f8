import ml_dtypes
import numpy as np
import pytest

from weightsmith.analysis.blocks import STATISTICS, margin
from weightsmith.analysis.difference import difference, sketch_of
from weightsmith.analysis.grid import Grid
from weightsmith.analysis.pyramid import Pyramid
from weightsmith.errors import InputError

RNG = np.random.default_rng(0)


def grid_of(array, *, turned=False):
    lying = np.ascontiguousarray(array.T if turned else array)
    return Grid(*array.shape, turned, lambda top, bottom, left, right: lying[top:bottom, left:right])


@pytest.mark.parametrize("turned", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int8", "uint8"])
def test_any_rectangle_is_numpys_difference_in_float64(turned, dtype):
    kind = getattr(ml_dtypes, dtype, dtype)
    first, second = ((RNG.normal(size=(60, 45)) * 20 + 50).astype(kind) for _ in range(2))
    found = difference(grid_of(first, turned=turned[0]), grid_of(second, turned=turned[1]))
    expected = first.astype(np.float64) - second.astype(np.float64)
    np.testing.assert_array_equal(found.read(0, 60, 0, 45), expected)
    np.testing.assert_array_equal(found.read(7, 9, 30, 45), expected[7:9, 30:45])
    norms = margin(found, "rows").norms
    np.testing.assert_allclose(norms, np.linalg.norm(expected, axis=1))
    sketch = sketch_of(found)
    assert (sketch.count, sketch.zeros) == (expected.size, np.count_nonzero(expected == 0))
    assert sketch.norm == pytest.approx(np.linalg.norm(expected))
    assert (sketch.minimum, sketch.maximum) == (expected.min(), expected.max())


@pytest.mark.parametrize("turned", [False, True])
def test_tiles_are_blocks_of_the_difference(turned):
    first, second = (RNG.normal(size=(700, 300)).astype(np.float32) for _ in range(2))
    first[3, 4] = np.nan
    found = Pyramid(difference(grid_of(first, turned=turned), grid_of(second, turned=turned)))
    expected = Pyramid(grid_of(first.astype(np.float64) - second.astype(np.float64)))
    for level in range(found.levels):
        for statistic in STATISTICS:
            np.testing.assert_allclose(
                found.tile(level, 0, 0, statistic), expected.tile(level, 0, 0, statistic), rtol=1e-6, atol=1e-12
            )


def test_what_is_not_finite():
    first = np.array([[np.nan, np.inf, np.inf, 1.0]], np.float32)
    second = np.array([[1.0, np.inf, -np.inf, np.inf]], np.float32)
    found = difference(grid_of(first), grid_of(second)).read(0, 1, 0, 4)
    np.testing.assert_array_equal(found, [[np.nan, np.nan, np.inf, -np.inf]])


def test_other_shapes_have_no_difference():
    with pytest.raises(InputError, match="2 x 3"):
        difference(grid_of(np.zeros((3, 2))), grid_of(np.zeros((2, 3))))


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (1, 1)])
def test_empty_and_single(shape):
    zero = np.zeros(shape, np.float32)
    assert sketch_of(difference(grid_of(zero), grid_of(zero))).count == zero.size
