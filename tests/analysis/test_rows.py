"""Neurons and inputs of weights of every type and layout, streamed, against NumPy on the whole array."""

from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest

import weightsmith as ws
from weightsmith.analysis import rows as module
from weightsmith.analysis.rows import row_starts, row_statistics
from weightsmith.errors import InputError, SourceError
from weightsmith.sources.safetensors import write_safetensors
from weightsmith.sources.source import Weight
from weightsmith.weight import WeightInfo

DTYPES = ["float32", "float64", "float16", "bfloat16", "float8_e4m3fn", "int8", "int64"]


def array(shape, dtype, seed=0):
    values = np.random.default_rng(seed).standard_normal(shape) * 3
    return values.astype(getattr(ml_dtypes, dtype, dtype))


def weight(values, *, axis=0):
    info = WeightInfo("fc.weight", values.shape, values.dtype.name, "linear", output_axis=axis)
    return Weight(info, values.nbytes, lambda: values)


def check(statistics, values, axis=0):
    lines = np.moveaxis(values.astype(np.float64), axis, 0).reshape(values.shape[axis], -1)
    neurons, inputs = statistics.neurons, statistics.inputs
    assert (neurons.length, inputs.length) == (lines.shape[1], lines.shape[0])
    np.testing.assert_allclose(neurons.sums, lines.sum(axis=1), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(neurons.squares, (lines**2).sum(axis=1), rtol=1e-9)
    np.testing.assert_allclose(neurons.rms, np.sqrt((lines**2).mean(axis=1)), rtol=1e-9)
    np.testing.assert_array_equal(neurons.largest, np.abs(lines).max(axis=1))
    np.testing.assert_array_equal(neurons.zeros, (lines == 0).sum(axis=1))
    np.testing.assert_allclose(inputs.squares, (lines**2).sum(axis=0), rtol=1e-9)
    np.testing.assert_allclose(inputs.rms, np.sqrt((lines**2).mean(axis=0)), rtol=1e-9)
    np.testing.assert_array_equal(inputs.largest, np.abs(lines).max(axis=0))
    np.testing.assert_array_equal(inputs.zeros, (lines == 0).sum(axis=0))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [0, 1])
def test_matrices_of_every_type_and_orientation(dtype, axis):
    values = array((37, 53), dtype)
    check(row_statistics(weight(values, axis=axis)), values, axis)


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1])
def test_convolutions_in_the_order_of_every_framework(axis):
    values = array((5, 4, 3, 6), "float32")
    check(row_statistics(weight(values, axis=axis)), values, axis)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("block", [1, 64, 1000])
@pytest.mark.parametrize("threads", [1, 2])
def test_files_are_streamed_in_blocks_of_any_size(tmp_path, monkeypatch, axis, block, threads):
    monkeypatch.setattr(module, "BLOCK_VALUES", block)
    values = array((90, 41), "float32")
    write_safetensors(tmp_path / "m.safetensors", {"fc.weight": values})
    stored = ws.open(tmp_path / "m.safetensors")["fc.weight"]
    assert stored.place is not None
    check(row_statistics(replace(stored, info=replace(stored.info, output_axis=axis)), threads), values, axis)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("size", [1, 7, 41, 100, 5000])
def test_blocks_that_share_their_memory_are_put_together(axis, size):
    values = array((90, 41), "float32")
    shared = np.empty(size, np.float32)

    def blocks():
        for start in range(0, values.size, size):
            part = values.reshape(-1)[start : start + size]
            shared[: part.size] = part
            yield shared[: part.size]

    whole = row_statistics(weight(values, axis=axis))
    streamed = row_statistics(replace(weight(values, axis=axis), _read=None, _blocks=blocks))
    np.testing.assert_array_equal(streamed.neurons.hashes, whole.neurons.hashes)
    check(streamed, values, axis)


def test_the_number_of_threads_changes_no_bit(monkeypatch):
    monkeypatch.setattr(module, "BLOCK_VALUES", 512)
    stored = weight(array((400, 32), "float32"))
    one, three = row_statistics(stored, 1), row_statistics(stored, 3)
    np.testing.assert_array_equal(one.inputs.squares, three.inputs.squares)
    np.testing.assert_array_equal(one.neurons.sums, three.neurons.sums)


def test_equal_neurons_have_equal_hashes_in_every_layout():
    values = array((50, 20), "bfloat16")
    values[31] = values[4]
    for turned, axis in ((values, 0), (np.ascontiguousarray(values.T), 1)):
        hashes = row_statistics(weight(turned, axis=axis)).neurons.hashes
        assert hashes[31] == hashes[4]
        assert len(np.unique(hashes)) == 49


def test_values_that_are_not_finite_are_counted_and_left_out():
    values = array((4, 6), "float32")
    values[1, 2], values[1, 3], values[3, 0] = np.nan, np.inf, -np.inf
    found = row_statistics(weight(values)).neurons
    np.testing.assert_array_equal(found.non_finite, [0, 2, 0, 1])
    assert np.isfinite(found.squares).all()


@pytest.mark.parametrize("shape", [(), (1,), (5,), (0, 4), (4, 0), (3, 0, 2)])
def test_scalars_vectors_and_empty_weights(shape):
    values = np.ones(shape, np.float32)
    found = row_statistics(weight(values))
    assert len(found.neurons.squares) == (shape[0] if shape else 1)
    assert found.neurons.squares.sum() == values.size


def test_big_endian_values_are_read_as_they_are():
    values = array((6, 5), "float32")
    check(row_statistics(weight(values.astype(">f4"))), values)


def test_too_many_rows_are_refused(monkeypatch):
    monkeypatch.setattr(module, "MOST_LINES", 100)
    with pytest.raises(InputError, match="over 100 rows and columns"):
        row_statistics(weight(array((90, 41), "float32")))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("shape", "axis"), [((300, 40), 0), ((40, 300), 1), ((3, 5, 4, 30), 3), ((30, 4, 3, 5), 0), ((9,), 0)]
)
@pytest.mark.parametrize("length", [1, 7, 32])
@pytest.mark.parametrize(("window", "far"), [(1, 0), (5000, 0), (1 << 25, 512)])
def test_the_first_values_of_every_row(tmp_path, monkeypatch, dtype, shape, axis, length, window, far):
    monkeypatch.setattr(module, "_WINDOW", window)
    monkeypatch.setattr(module, "_WORTH_SKIPPING", far)
    values = array(shape, dtype)
    path = tmp_path / "model.safetensors"
    write_safetensors(path, {"fc.weight": values})
    (stored,) = ws.open(path).values()
    parts = row_starts(replace(stored, info=replace(stored.info, output_axis=axis)), length)
    expected = np.moveaxis(values, axis, 0).reshape(shape[axis], -1)[:, :length]
    np.testing.assert_array_equal(np.concatenate(parts), expected.astype(np.float64))
    assert row_starts(weight(values, axis=axis), length) is None


def test_the_first_values_of_a_file_that_shrank_or_was_replaced(tmp_path):
    path = tmp_path / "model.safetensors"
    write_safetensors(path, {"fc.weight": array((400, 300), "float32")})
    (stored,) = ws.open(path).values()
    other = tmp_path / "other"
    other.write_bytes(path.read_bytes())
    other.replace(path)
    assert row_starts(stored, 8) is None
    (stored,) = ws.open(path).values()
    with path.open("r+b") as file:
        file.truncate(200_000)
    with pytest.raises(SourceError, match="became shorter"):
        row_starts(stored, 8)
