"""Every level of a matrix, its margins and its largest values, against NumPy over the whole array."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

from weightsmith.analysis import strongest
from weightsmith.analysis.blocks import STATISTICS, margin
from weightsmith.analysis.grid import Grid
from weightsmith.analysis.matrix import neurons
from weightsmith.analysis.pyramid import TILE, Pyramid
from weightsmith.errors import InputError, SourceError
from weightsmith.sources import Source, Weight, write_safetensors
from weightsmith.sources import open as open_source
from weightsmith.weight import WeightInfo

SHAPE = (600, 300)


@pytest.fixture(scope="module")
def matrix():
    values = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
    values[:40, :40] = np.nan
    values[500, 30] = np.nan
    return values


def in_file(tmp_path, array, axis=0):
    path = tmp_path / "w.safetensors"
    write_safetensors(path, {"w": array})
    weight = open_source(path)["w"]
    return replace(weight, info=replace(weight.info, output_axis=axis))


def in_memory(array, axis=0):
    info = WeightInfo("w", array.shape, array.dtype.name, "linear", output_axis=axis)
    return Weight(info, array.nbytes, lambda: array)


def reduced(array, side, statistic):
    if side == 1:
        return array.astype(np.float32)
    rows, columns = (range(0, length, side) for length in array.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")

        def one(part):
            if statistic == "magnitude":
                low, high = np.nanmin(part), np.nanmax(part)
                return high if not high < -low else low
            return {"mean": np.nanmean, "minimum": np.nanmin, "maximum": np.nanmax}[statistic](part)

        wide = array.astype(np.float64)
        return np.array([[one(wide[r : r + side, c : c + side]) for c in columns] for r in rows], np.float32)


def whole(pyramid, level, statistic):
    down, across = pyramid.shape(level)
    return np.block(
        [[pyramid.tile(level, r, c, statistic) for c in range(-(-across // TILE))] for r in range(-(-down // TILE))]
    )


@pytest.mark.parametrize("statistic", STATISTICS)
def test_every_level_is_numpys(tmp_path, matrix, statistic):
    pyramid = Pyramid(Grid.of(in_file(tmp_path, matrix)))
    assert pyramid.levels == 3
    for level in range(pyramid.levels):
        found = whole(pyramid, level, statistic)
        assert found.dtype == np.dtype("<f4")
        np.testing.assert_allclose(found, reduced(matrix, 2**level, statistic), rtol=1e-6, atol=1e-7)


def test_the_highest_level_is_one_tile_and_the_one_below_is_not():
    for shape, levels in [((1, 1), 1), ((256, 256), 1), ((257, 1), 2), ((512, 3), 2), ((8192, 28672), 8)]:
        pyramid = Pyramid(Grid(*shape, False, lambda *_: None))
        assert pyramid.levels == levels
        assert max(pyramid.shape(levels - 1)) <= TILE
        assert levels == 1 or max(pyramid.shape(levels - 2)) > TILE


@pytest.mark.parametrize("hold", [in_file, lambda _, array, axis=0: in_memory(array, axis)], ids=["file", "memory"])
@pytest.mark.parametrize(
    ("shape", "axis"), [((300, 280), 0), ((300, 280), 1), ((3, 3, 20, 300), 3), ((20, 300, 3), 1), ((700,), 0), ((), 0)]
)
def test_rows_are_neurons_wherever_the_format_counts_them(tmp_path, hold, shape, axis):
    array = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    weight = hold(tmp_path, array, axis=axis)
    wanted = neurons(weight)
    pyramid = Pyramid(Grid.of(weight))
    assert (pyramid.grid.rows, pyramid.grid.columns) == wanted.shape
    for level in range(pyramid.levels):
        found = whole(pyramid, level, "mean")
        np.testing.assert_allclose(found, reduced(wanted, 2**level, "mean"), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "int8", "float64"])
def test_levels_of_other_types_are_those_of_their_values(tmp_path, matrix, kind):
    import ml_dtypes

    array = (np.nan_to_num(matrix[:400]) * 30).astype(getattr(ml_dtypes, kind, kind))
    pyramid = Pyramid(Grid.of(in_file(tmp_path, array)))
    for level in range(pyramid.levels):
        found = whole(pyramid, level, "mean")
        np.testing.assert_allclose(found, reduced(array, 2**level, "mean"), rtol=1e-5, atol=1e-6)


def test_byte_order_of_the_file_does_not_matter(tmp_path, matrix):
    path = tmp_path / "big.npy"
    np.save(path, np.nan_to_num(matrix).astype(">f4"))
    (weight,) = open_source(path).values()
    found = Pyramid(Grid.of(weight)).tile(0, 1, 1, "mean")
    np.testing.assert_array_equal(found, np.nan_to_num(matrix)[256:512, 256:512])


def test_levels_above_the_base_agree_with_those_read_from_the_values(tmp_path, matrix, monkeypatch):
    pyramid = Pyramid(Grid.of(in_file(tmp_path, matrix)))
    monkeypatch.setattr("weightsmith.analysis.pyramid.BASE", 1)
    for level in (1, 2):
        found = whole(pyramid, level, "mean")
        np.testing.assert_allclose(found, reduced(matrix, 2**level, "mean"), rtol=1e-6, atol=1e-7)
    monkeypatch.setattr("weightsmith.analysis.pyramid.KEPT", 1000)
    assert Pyramid(pyramid.grid).base > 1


def test_a_file_that_was_cut_off_is_an_error(tmp_path, matrix):
    weight = in_file(tmp_path, matrix)
    pyramid = Pyramid(Grid.of(weight))
    with (tmp_path / "w.safetensors").open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(SourceError, match="shorter"):
        pyramid.tile(0, 2, 0, "mean")


@pytest.mark.parametrize("place", [(-1, 0, 0), (3, 0, 0), (0, 3, 0), (0, 0, 2), (0, -1, 0)])
def test_there_is_no_tile_outside(tmp_path, matrix, place):
    pyramid = Pyramid(Grid.of(in_memory(matrix)))
    with pytest.raises(InputError):
        pyramid.tile(*place, "mean")


@pytest.mark.parametrize("axis", [0, 1])
def test_the_largest_values_are_named_in_order(matrix, axis):
    weight = in_memory(matrix, axis)
    assert Pyramid(Grid.of(weight)).largest(50) == strongest(weight, 50)


def test_infinities_do_not_hide_the_largest_values(matrix):
    array = matrix.copy()
    array[100, 100], array[101, 100] = np.inf, 99.0
    array[500:516, 200:216] = -np.inf
    weight = in_memory(array)
    assert Pyramid(Grid.of(weight)).largest(20) == strongest(weight, 20)


@pytest.mark.parametrize("array", [np.zeros((5, 5), np.float32), np.full((5, 5), np.nan, np.float32)])
def test_where_all_is_zero_or_nan_nothing_is_large(array):
    assert Pyramid(Grid.of(in_memory(array))).largest(5) == ()


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0,)])
def test_a_weight_without_values_has_no_tile_and_no_largest(shape):
    pyramid = Pyramid(Grid.of(in_memory(np.zeros(shape, np.float32))))
    assert pyramid.largest(5) == ()
    with pytest.raises(InputError):
        pyramid.tile(0, 0, 0, "mean")
    assert len(margin(pyramid.grid, "rows").norms) in (0, pyramid.grid.rows)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("most", [2048, 100])
def test_margins_are_norms_and_means(matrix, axis, most):
    weight = in_memory(matrix, axis)
    array = neurons(weight).astype(np.float64)
    for name, lines in (("rows", array), ("columns", array.T)):
        found = margin(Grid.of(weight), name, most)
        block = -(-len(lines) // most)
        assert found.block == block
        parts = [lines[i : i + block] for i in range(0, len(lines), block)]
        norms = [np.sqrt(np.nansum(np.square(part)) / len(part)) for part in parts]
        np.testing.assert_allclose(found.norms, norms, rtol=1e-12)
        np.testing.assert_allclose(found.means, [np.nanmean(part) for part in parts], rtol=1e-9, atol=1e-12)


def test_the_number_of_threads_changes_nothing(matrix):
    from weightsmith.analysis.blocks import measure

    grid = Grid.of(in_memory(matrix))
    one, two = (measure(grid, range(SHAPE[0]), range(SHAPE[1]), SHAPE[0], 7, threads) for threads in (1, 2))
    for name in vars(one):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_sources_of_live_values_work_as_well(matrix):
    source = Source("live", [in_memory(matrix)])
    assert Pyramid(Grid.of(source["w"])).tile(2, 0, 0, "maximum").shape == (150, 75)
