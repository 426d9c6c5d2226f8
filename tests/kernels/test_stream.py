"""Values that stream give, bit by bit, the tally of the array that they make up."""

import itertools

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightsmith.errors import InputError, SourceError
from weightsmith.kernels import chunks, portion
from weightsmith.kernels.chunks import chunk_digest, chunk_elements, evenly
from weightsmith.kernels.count import SPAN
from weightsmith.kernels.stream import gather_blocks, gather_file, measure_file, unit_elements
from weightsmith.kernels.tally import Gathering, gather
from weightsmith.sketch import Sketch

TYPES = (
    "float32",
    "float64",
    "float16",
    "bfloat16",
    "float8_e4m3fn",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint64",
    "bool",
)


def sketched(gathering):
    return Sketch(**vars(gathering.tally()))


def some(name, size, seed=0):
    dtype = np.dtype(getattr(ml_dtypes, name, name))
    values = np.random.default_rng(seed).standard_normal(size)
    if dtype.kind in "iub":
        array = (values * 1000).astype(np.int64).astype(dtype)
        if name == "int64":
            array[: size // 2] += 2**60
        return array
    array = values.astype(dtype)
    if size > 10 and name != "float8_e4m3fn":
        array[[size // 2, size - 3]] = np.nan, -np.inf
        array[[1, 3]] = 0.0, -0.0
    return array


class Bytes:
    """A file in memory."""

    def __init__(self, array, pad=5):
        self.content = b"\0" * pad + array.tobytes()

    def read_into(self, start, buffer):
        assert start + len(buffer) <= len(self.content)
        buffer[:] = self.content[start : start + len(buffer)]


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("size", [0, 1, 7, 2048, 2049, SPAN, 5 * SPAN + 3, 34 * SPAN + 11])
def test_a_file_is_counted_as_the_array(name, size):
    array = some(name, size)
    whole = Sketch.of(array)
    for threads in (1, 3):
        gathered = gather_file(Bytes(array).read_into, 5, array.dtype, size, threads)
        assert sketched(gathered) == whole
        assert (gathered.bits, gathered.patterns) == (gather(array).bits, gather(array).patterns)


@pytest.mark.parametrize("name", ["float32", "float16", "int64"])
def test_the_other_byte_order_is_turned_around(name):
    array = some(name, 3000)
    swapped = array.astype(array.dtype.newbyteorder(">"))
    assert sketched(gather_file(Bytes(swapped).read_into, 5, swapped.dtype, array.size)) == Sketch.of(array)


@pytest.mark.parametrize("name", TYPES)
@given(data=st.data())
def test_blocks_of_any_sizes_are_counted_as_the_array(name, data):
    array = some(name, data.draw(st.sampled_from([0, 1, 50, 2100, 2 * SPAN + 1, 20 * SPAN])))
    cuts = sorted(data.draw(st.lists(st.integers(0, array.size), max_size=6)))
    assert sketched(gather_blocks(np.split(array, cuts), array.size)) == Sketch.of(array)


def test_blocks_may_share_their_memory():
    array = some("float32", 20 * SPAN)

    def blocks():
        room = np.empty(3 * SPAN + 17, np.float32)
        for start in range(0, array.size, room.size):
            part = array[start : start + room.size]
            room[: part.size] = part
            yield room[: part.size]
            room[:] = 7.0

    assert sketched(gather_blocks(blocks(), array.size)) == Sketch.of(array)


@pytest.mark.parametrize("size", [9, 11, 8 * SPAN, 8 * SPAN + 1, 9 * SPAN])
@pytest.mark.parametrize("there", [10, 8 * SPAN - 1, 8 * SPAN + 5])
def test_a_wrong_number_of_values_is_refused(size, there):
    with pytest.raises(SourceError, match="does not hold the"):
        gather_blocks([np.zeros(there, np.float32)], size)


def test_types_that_cannot_be_counted_are_refused():
    with pytest.raises(InputError, match="complex64"):
        gather_blocks([np.zeros(3, np.complex64)], 3)
    with pytest.raises(InputError, match="complex64"):
        gather_file(Bytes(np.zeros(3, np.complex64)).read_into, 5, np.dtype(np.complex64), 3)


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float64", "int64"])
@given(seed=st.integers(0, 9), random=st.randoms(use_true_random=False))
def test_portions_add_up_in_any_order(name, seed, random):
    array = some(name, 6 * SPAN + 99, seed)
    cuts = [0, *sorted(random.sample(range(1, 7), 3)), None]
    bounds = [(a * SPAN, array.size if b is None else b * SPAN) for a, b in itertools.pairwise(cuts)]
    portions = [measure_file(Bytes(array).read_into, 5, array.dtype, *pair) for pair in bounds]
    random.shuffle(portions)
    gathering = Gathering(array.dtype, array.size)
    for part in portions:
        assert not gathering.complete
        gathering.add(part)
    assert sketched(gathering) == Sketch.of(array)


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float64"])
def test_more_values_than_the_tables_hold_are_counted(monkeypatch, name):
    array = some(name, 40 * SPAN)
    expected = Sketch.of(array)
    monkeypatch.setattr(portion, "_ROOM", 17 * SPAN)
    assert sketched(gather_file(Bytes(array).read_into, 5, array.dtype, array.size, 2)) == expected
    assert sketched(gather_blocks([array], array.size)) == expected


def test_watchers_see_every_value_once_and_in_their_places():
    array = some("float64", unit_elements(np.dtype(np.float64)) + 77)
    seen = np.zeros_like(array)

    def watch(start, values):
        seen[start : start + values.size] += np.nan_to_num(values)

    measure_file(Bytes(array).read_into, 5, array.dtype, 0, array.size, watch)
    np.testing.assert_array_equal(seen, np.nan_to_num(array))
    seen[:] = 0
    gather_blocks(np.split(array, [3, 100000]), array.size, watch)
    np.testing.assert_array_equal(seen, np.nan_to_num(array))


@given(st.lists(st.integers(0, 12), max_size=12))
def test_chunks_are_even(sizes):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(chunks, "CHUNK_BYTES", 16)
        step = chunk_elements(np.dtype(np.float32))
        array = np.arange(sum(sizes), dtype=np.float32)
        found = [chunk.copy() for chunk in evenly(np.split(array, np.cumsum(sizes)))]
    assert step == 4
    assert all(chunk.size == step for chunk in found[:-1])
    assert all(chunk.size for chunk in found)
    np.testing.assert_array_equal(np.concatenate([np.empty(0), *found]), array)


def test_digests_are_of_values_not_of_byte_orders():
    array = np.arange(9, dtype=np.float32)
    assert chunk_digest(array) == chunk_digest(array.astype(">f4"))
    assert chunk_digest(array) != chunk_digest(array[:8])
    assert chunk_digest(array[::2]) == chunk_digest(array[::2].copy())
