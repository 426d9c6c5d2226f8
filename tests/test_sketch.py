import json
import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import ml_dtypes
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from weightsmith.errors import InputError, SourceError
from weightsmith.kernels import portion
from weightsmith.kernels.count import SPAN
from weightsmith.kernels.encoding import _HEADER
from weightsmith.kernels.layout import NARROW_FLOATS
from weightsmith.sketch import Sketch

FLOATS = ("float32", "float64", "float16", "bfloat16", *NARROW_FLOATS)
INTEGERS = ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "int4", "uint4")
SPECIAL = [0.0, -0.0, math.nan, math.inf, -math.inf, 1.0, -1.0, 0.97, 1e-40, -1e-41, 6e-8, 448.0, 3e38, 2.0**-126]


def dtype_of(name):
    return np.dtype(getattr(ml_dtypes, name, name))


def cast(numbers, name):
    with np.errstate(all="ignore"):
        return np.asarray(numbers).astype(dtype_of(name))


@st.composite
def arrays(draw, names=(*FLOATS, *INTEGERS), most=40):
    name = draw(st.sampled_from(names))
    dtype = dtype_of(name)
    if name in INTEGERS and dtype.kind in "iu":
        info = np.iinfo(dtype)
        return np.array(draw(st.lists(st.integers(int(info.min), int(info.max)), max_size=most)), dtype)
    numbers = draw(st.lists(st.sampled_from(SPECIAL) | st.floats(), max_size=most))
    return (
        cast(np.array(numbers) != 0, name)
        if name in INTEGERS and dtype.kind == "b"
        else (
            cast(np.nan_to_num(numbers, posinf=7, neginf=-8).clip(0, 7), name)
            if name in INTEGERS
            else cast(numbers, name)
        )
    )


def in_float64(array):
    with np.errstate(invalid="ignore"):
        return array.astype(np.float64)


def finite_values(array):
    numbers = in_float64(array).ravel()
    return numbers[np.isfinite(numbers)]


def normal(size, name="float32", seed=0, scale=0.05, mean=0.0):
    return cast(np.random.default_rng(seed).normal(mean, scale, size), name)


def same_numbers(first, second):
    return first.to_bytes() == second.to_bytes()


@given(arrays())
def test_counts_and_sums_are_those_of_numpy(array):
    sketch = Sketch.of(array)
    numbers = in_float64(array)
    finite = finite_values(array)
    assert sketch.count == array.size
    assert sketch.nan == np.isnan(numbers).sum()
    assert sketch.positive_infinity == (numbers == np.inf).sum()
    assert sketch.negative_infinity == (numbers == -np.inf).sum()
    assert sketch.zeros == (numbers == 0).sum()
    others = np.flatnonzero(~np.isfinite(numbers))
    assert sketch.first_non_finite == (others[0] if others.size else None)
    assert sketch.finite == finite.size == sketch.counts.sum()
    if finite.size:
        assert (sketch.minimum, sketch.maximum) == (finite.min(), finite.max())
    else:
        assert math.isnan(sketch.minimum)
        assert math.isnan(sketch.maximum)
    if np.abs(finite).max(initial=0) < 1e150:
        assert sketch.sum == pytest.approx(math.fsum(finite), abs=1e-15 * np.abs(finite).sum())
        assert sketch.sum_of_squares == pytest.approx(math.fsum(finite**2), rel=1e-14)
        assert sketch.norm == pytest.approx(np.sqrt(math.fsum(finite**2)), rel=1e-14)
    assert (np.diff(sketch.keys.astype(int)) > 0).all()


@given(arrays(FLOATS))
def test_subnormals_are_those_of_the_type(array):
    name = array.dtype.name
    smallest = (
        ml_dtypes.finfo(array.dtype).smallest_normal if name not in ("float64",) else np.finfo(float).smallest_normal
    )
    magnitude = np.abs(finite_values(array))
    assert Sketch.of(array).subnormals == ((magnitude > 0) & (magnitude < float(smallest))).sum()


@given(arrays(("float16", "bfloat16", *NARROW_FLOATS, "int8", "uint8", "bool", "int4", "uint4")), st.data())
def test_narrow_types_are_exact(array, data):
    sketch = Sketch.of(array)
    finite = finite_values(array)
    assert sketch.exact
    shares = data.draw(st.lists(st.floats(0, 1), min_size=1, max_size=5))
    edges = np.sort(
        data.draw(st.lists(st.floats(-500, 500) | st.sampled_from([0.0, 1.0, -1.0]), min_size=2, max_size=6))
    )
    np.testing.assert_array_equal(sketch.histogram(edges), np.histogram(finite, edges)[0])
    if finite.size:
        np.testing.assert_array_equal(sketch.quantile(shares), np.quantile(finite, shares, method="inverted_cdf"))
        assert sketch.tail(1.0) == pytest.approx(np.mean(np.abs(finite) > 1))


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float8_e4m3fn", "int8"])
def test_large_narrow_arrays_are_exact(name):
    array = normal(200_000, name, scale=20 if name == "int8" else 1)
    sketch, finite = Sketch.of(array), finite_values(array)
    shares = np.linspace(0, 1, 101)
    np.testing.assert_array_equal(sketch.quantile(shares), np.quantile(finite, shares, method="inverted_cdf"))
    for bins in (10, sketch.edges()):
        counts, edges = np.histogram(finite, bins)
        np.testing.assert_array_equal(sketch.histogram(edges), counts)
    assert sketch.sum == math.fsum(finite)
    assert sketch.sum_of_squares == math.fsum(finite**2)
    assert sketch.kurtosis == pytest.approx(scipy.stats.kurtosis(finite), rel=1e-9)
    assert sketch.skewness == pytest.approx(scipy.stats.skew(finite), rel=1e-9, abs=1e-12)


@given(
    arrays(("float32", "float64", "int32", "int64", "uint64", "int16")),
    st.lists(st.floats(0, 1), min_size=1, max_size=9),
)
def test_quantiles_are_within_one_part_in_128(array, shares):
    sketch, finite = Sketch.of(array), finite_values(array)
    if not finite.size:
        assert np.isnan(sketch.quantile(shares)).all()
        return
    expected = np.quantile(finite, shares, method="inverted_cdf")
    tolerance = np.abs(expected) / 128 + 2.0**-133
    beyond = np.abs(expected) > np.finfo(np.float32).max
    assert (np.abs(sketch.quantile(shares) - expected) <= tolerance)[~beyond].all()
    assert (sketch.quantile(0.0), sketch.quantile(1.0)) == (finite.min(), finite.max())


def test_histogram_of_float32_is_close_for_any_edges_and_exact_for_its_own():
    array = normal(300_000)
    sketch = Sketch.of(array)
    edges = np.linspace(-0.2, 0.2, 41)
    assert np.abs(sketch.histogram(edges) - np.histogram(array, edges)[0]).max() < 0.02 * array.size / 40
    own = sketch.edges()
    assert 48 < own.size <= 65
    assert (own[0], own[-1]) == (array.min(), array.max())
    counts = sketch.histogram(own)
    assert counts.sum() == array.size
    # A boundary between bins belongs to the bin that lies further from zero.
    np.testing.assert_allclose(counts, np.histogram(array.astype(np.float64), own)[0], atol=3)


def test_histogram_covers_infinite_edges_and_keeps_the_total():
    array = normal(5000)
    assert Sketch.of(array).histogram([-np.inf, 0.0, np.inf]).sum() == 5000


@pytest.mark.parametrize("spread", [0.01, 0.003])
def test_a_narrow_gaussian_far_from_zero_keeps_its_shape(spread):
    array = normal(400_000, mean=0.97, scale=spread)
    sketch = Sketch.of(array)
    edges = sketch.edges()
    density = sketch.histogram(edges) / np.diff(edges) / array.size
    expected = np.diff(scipy.stats.norm.cdf(edges, 0.97, spread)) / np.diff(edges)
    assert edges.size > 5
    assert np.abs(density - expected).max() < 0.02 * expected.max()
    assert sketch.std == pytest.approx(spread, rel=0.01)


def test_far_outliers_widen_only_the_outer_bins():
    array = np.append(normal(100_000), np.float32([1000, -3000]))
    edges = Sketch.of(array).edges()
    assert (edges[0], edges[-1]) == (-3000, 1000)
    assert edges.size > 40
    assert np.abs(edges[1:-1]).max() < 1


@pytest.mark.parametrize("value", [0.0, 3.5, -1e-30])
def test_edges_of_one_value_enclose_it(value):
    sketch = Sketch.of(np.full(9, value))
    edges = sketch.edges(8)
    assert edges[0] < value < edges[-1]
    assert sketch.histogram(edges).sum() == 9


@pytest.mark.parametrize("make", [normal, lambda size: np.random.default_rng(3).exponential(size=size)])
def test_moments_agree_with_scipy(make):
    array = make(200_000)
    sketch, numbers = Sketch.of(array), array.astype(np.float64)
    assert sketch.mean == pytest.approx(numbers.mean(), rel=1e-12)
    assert sketch.variance == pytest.approx(numbers.var(), rel=1e-12)
    assert sketch.std == pytest.approx(numbers.std(), rel=1e-12)
    assert sketch.rms == pytest.approx(np.sqrt(np.mean(numbers**2)), rel=1e-12)
    assert sketch.norm == pytest.approx(np.linalg.norm(numbers), rel=1e-12)
    assert sketch.kurtosis == pytest.approx(scipy.stats.kurtosis(numbers), rel=0.01, abs=0.01)
    assert sketch.skewness == pytest.approx(scipy.stats.skew(numbers), rel=0.01, abs=0.01)
    for threshold in (0.01, 0.1, 0.2):
        assert sketch.tail(threshold) == pytest.approx(np.mean(np.abs(numbers) > threshold), abs=2e-3)


@pytest.mark.parametrize("array", [np.zeros(0, np.float32), np.full(3, np.nan, np.float32)])
def test_nothing_finite_leaves_numbers_undefined(array):
    sketch = Sketch.of(array)
    undefined = (sketch.mean, sketch.variance, sketch.std, sketch.rms, sketch.skewness, sketch.kurtosis)
    assert np.isnan([*undefined, sketch.quantile(0.5), sketch.tail(1), sketch.minimum]).all()
    assert sketch.norm == 0
    assert sketch.histogram(sketch.edges()).sum() == 0
    assert not json.loads(json.dumps(sketch.to_json(), allow_nan=False))["mean"]
    assert Sketch.from_bytes(sketch.to_bytes()) == sketch


@given(arrays())
def test_shape_order_and_byte_order_do_not_matter(array):
    sketch = Sketch.of(array)
    doubled = np.stack([array, array], axis=-1)
    assert Sketch.of(doubled[..., 0]) == sketch
    assert Sketch.of(array[::-1][::-1]) == sketch
    assert Sketch.of(array.reshape(1, -1, 1)) == sketch
    if array.dtype.itemsize > 1 and array.dtype.kind != "V" and array.dtype.name != "bfloat16":
        assert Sketch.of(array.astype(array.dtype.newbyteorder(">"))) == sketch
    shifted = np.frombuffer(b"\0" + array.tobytes(), np.uint8)[1:].view(array.dtype)
    assert Sketch.of(shifted) == sketch
    for value in array[:1]:
        assert Sketch.of(np.array(value, array.dtype)) == Sketch.of(array[:1])


def test_the_first_non_finite_value_is_counted_in_c_order():
    array = normal((40, 50))
    array[7, 11] = np.nan
    array[9, 3] = np.inf
    assert Sketch.of(array).first_non_finite == 7 * 50 + 11
    assert Sketch.of(array.T).first_non_finite == 3 * 40 + 9
    assert Sketch.of(array[::-1]).first_non_finite == 30 * 50 + 3


def test_nan_with_any_payload_is_nan():
    bits = np.array([0x7F800001, 0xFF800001, 0x7FC00000, 0xFFFFFFFF, 0x7F800000, 0xFF800000], np.uint32)
    for repeats in (1, 1000):
        sketch = Sketch.of(np.repeat(bits, repeats).view(np.float32))
        assert (sketch.nan, sketch.positive_infinity, sketch.negative_infinity) == (4 * repeats, repeats, repeats)
        assert not sketch.keys.size


@pytest.mark.parametrize("name", ["float32", "float64", "bfloat16", "float16", "float8_e5m2", "int32", "int64"])
def test_threads_and_size_change_nothing(name):
    array = normal(5 * SPAN + 1234, name, scale=30)
    if name != "int32" and name != "int64":
        array[[SPAN + 3, 4 * SPAN]] = np.nan, np.inf
    sketch = Sketch.of(array, threads=1)
    assert all(Sketch.of(array, threads) == sketch for threads in (2, 3, 8))
    read_only = array.view()
    read_only.flags.writeable = False
    assert Sketch.of(read_only) == sketch


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float64"])
def test_tables_that_are_full_are_set_aside(monkeypatch, name):
    array = normal(40 * SPAN, name)
    expected = Sketch.of(array)
    monkeypatch.setattr(portion, "_ROOM", 17 * SPAN)
    assert Sketch.of(array, 1) == expected == Sketch.of(array, 3)


def test_a_failed_pass_leaves_no_counts_behind(monkeypatch):
    array = normal(20 * SPAN)
    expected = Sketch.of(array)
    calls = iter(range(100))
    kernel = portion.count_float32

    def fail_later(*arguments):
        found = kernel(*arguments)
        if next(calls) == 2:
            raise MemoryError
        return found

    with monkeypatch.context() as patched:
        patched.setattr(portion, "count_float32", fail_later)
        with pytest.raises(MemoryError):
            Sketch.of(array, 2)
    assert Sketch.of(array, 2) == expected


def test_many_threads_at_once_get_the_serial_sketches():
    inputs = [normal(size, name, seed=size) for size in (10, 3000, SPAN, 9 * SPAN) for name in ("float32", "bfloat16")]
    expected = [Sketch.of(array, 1).to_bytes() for array in inputs]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            found = list(pool.map(lambda array: Sketch.of(array, 4).to_bytes(), inputs * 4))
            assert found == expected * 4


@given(st.data())
def test_merging_parts_is_one_pass_over_the_whole(data):
    array = data.draw(arrays(FLOATS))
    array = np.where(np.abs(in_float64(array)) > 1e100, array.dtype.type(1), array).astype(array.dtype)
    cut = data.draw(st.integers(0, array.size))
    whole, merged = Sketch.of(array), Sketch.of(array[:cut]) + Sketch.of(array[cut:])
    for name in ("layout", "count", "zeros", "subnormals", "nan", "positive_infinity", "negative_infinity"):
        assert getattr(merged, name) == getattr(whole, name)
    assert merged.first_non_finite == whole.first_non_finite
    np.testing.assert_array_equal(merged.keys, whole.keys)
    np.testing.assert_array_equal(merged.counts, whole.counts)
    assert np.array_equal([merged.minimum, merged.maximum], [whole.minimum, whole.maximum], equal_nan=True)
    assert merged.exact == whole.exact
    if whole.exact:
        assert same_numbers(merged, whole)
    assert merged.sum == pytest.approx(whole.sum, abs=1e-15 * np.abs(finite_values(array)).sum())
    assert merged.sum_of_squares == pytest.approx(whole.sum_of_squares, rel=1e-14)


@given(st.lists(arrays(("bfloat16", "float8_e4m3fn", "int8")), min_size=3, max_size=3))
def test_merging_is_associative_across_layouts(three):
    first, second, third = map(Sketch.of, three)
    left, right = (first + second) + third, first + (second + third)
    assert left.in_float32() == right.in_float32()


def test_float16_meets_float32_in_float32():
    half, single = normal(3000, "float16"), normal(2000, seed=1)
    merged = Sketch.of(half) + Sketch.of(single)
    whole = Sketch.of(np.concatenate([half.astype(np.float32), single]))
    assert merged.layout == "float32"
    assert not merged.exact
    np.testing.assert_array_equal(merged.keys, whole.keys)
    np.testing.assert_array_equal(merged.counts, whole.counts)
    assert merged.sum == pytest.approx(whole.sum, rel=1e-12)


def test_the_empty_sketch_changes_nothing():
    sketch = Sketch.of(normal(100, "float16"))
    assert sketch + Sketch.empty() == sketch == Sketch.empty() + sketch
    assert Sketch.of(np.zeros((3, 0))) == Sketch.empty()
    with pytest.raises(TypeError):
        sketch + 1


@given(arrays())
def test_bytes_round_trip(array):
    sketch = Sketch.of(array)
    again = Sketch.from_bytes(sketch.to_bytes())
    assert again == sketch
    np.testing.assert_array_equal(again.counts, sketch.counts)


@given(st.binary(max_size=400))
def test_junk_is_refused(junk):
    with pytest.raises(SourceError):
        Sketch.from_bytes(junk)


@given(st.data())
def test_altered_and_truncated_bytes_are_refused(data):
    good = Sketch.of(normal(500)).to_bytes()
    at = data.draw(st.integers(0, len(good) - 1))
    flipped = bytearray(good)
    flipped[at] ^= data.draw(st.integers(1, 255))
    for bad in (bytes(flipped), good[:at], good + b"\0"):
        with pytest.raises(SourceError):
            Sketch.from_bytes(bad)


BAD_FIELDS = [
    {"zeros": -1},
    {"zeros": 10**6},
    {"nan": 1},
    {"count": 7},
    {"first_non_finite": 3},
    {"minimum": 5.0},
    {"maximum": math.nan},
    {"minimum": -math.inf},
    {"layout": "float8_e5m2"},
    {"layout": "float31"},
    {"layout": "float16", "exact": False},
    {"counts": np.zeros(1, np.int64), "keys": np.ones(1, np.uint16)},
    {"keys": np.array([0x7F80], np.uint16), "counts": np.array([200], np.int64)},
    {"keys": np.array([5, 5], np.uint16), "counts": np.array([100, 100], np.int64)},
    {"keys": np.array([6, 5], np.uint16), "counts": np.array([100, 100], np.int64)},
]


@pytest.mark.parametrize("fields", BAD_FIELDS, ids=str)
def test_contradictions_with_a_valid_checksum_are_refused(fields):
    sketch = Sketch.of(normal(200))
    bad = Sketch(**{**{name: getattr(sketch, name) for name in Sketch.__dataclass_fields__}, **fields})
    with pytest.raises(SourceError):
        Sketch.from_bytes(bad.to_bytes())


def test_a_newer_version_is_named():
    data = bytearray(Sketch.empty().to_bytes())
    data[4] = 9
    with pytest.raises(SourceError, match="version 9"):
        Sketch.from_bytes(bytes(data))
    assert len(data) == _HEADER.size


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([1j]), np.array([None]), np.zeros(1, np.longdouble)])
def test_values_that_are_no_real_numbers_are_refused(array):
    with pytest.raises(InputError, match="cannot sketch"):
        Sketch.of(array)


def test_senseless_questions_are_refused():
    sketch = Sketch.of(normal(10))
    with pytest.raises(InputError, match="between 0 and 1"):
        sketch.quantile(1.5)
    with pytest.raises(InputError, match="between 0 and 1"):
        sketch.quantile(math.nan)
    with pytest.raises(InputError, match="ascending"):
        sketch.histogram([1, 0])
    with pytest.raises(InputError, match="at least two"):
        sketch.histogram([1])
    with pytest.raises(InputError, match="did you mean 'float16'"):
        Sketch.empty("float17")
    with pytest.raises(InputError, match="at least 1"):
        sketch.edges(0)


def test_it_describes_itself():
    array = normal(2500)
    array[:50] = 0
    array[60] = np.nan
    sketch = Sketch.of(array)
    assert repr(sketch).startswith("Sketch(2,500 values; mean")
    assert "2.00% zeros" in repr(sketch)
    assert "1 not finite, the first at 60" in repr(sketch)
    assert "<svg" in sketch._repr_html_()
    assert repr(Sketch.empty()) == "Sketch(empty)"
    summary = json.loads(json.dumps(sketch.to_json(), allow_nan=False))
    assert summary["zeros"] == 50
    assert summary["quantiles"]["0.5"] == pytest.approx(sketch.quantile(0.5))


def test_importing_it_loads_nothing_heavy():
    heavy = "('numba', 'scipy', 'torch', 'matplotlib')"
    code = f"import sys, weightsmith.sketch; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"


@pytest.mark.parametrize("values", [[1e308, -1e308, 1e300, 5.0], [1e130, -1e130, 3e130], [1e39, 1.0]])
def test_values_beyond_float32_still_give_every_answer(values):
    sketch = Sketch.of(np.array(values))
    edges = sketch.edges(10)
    assert (edges[0], edges[-1]) == (min(values), max(values))
    assert sketch.histogram(edges).sum() == len(values)
    assert sketch.to_json()["maximum"] == max(values)
    assert "nan" not in sketch._repr_html_().split("figcaption")[0]


def test_the_tail_beyond_zero_is_what_is_not_zero():
    assert Sketch.of(np.array([0.0, -0.0, 1e-45, -1e-40, 2.0], np.float32)).tail(0) == 0.6
    assert Sketch.of(np.array([0.0, np.nan, 1.0])).tail(0.0) == 0.5


def test_moments_count_the_spread_within_a_bin():
    sketch = Sketch.of(np.linspace(1.0, 1.0077, 10_001, dtype=np.float32))
    assert len(sketch.keys) == 1
    assert sketch.skewness == pytest.approx(0.0, abs=1e-3)
    assert sketch.kurtosis == pytest.approx(-1.2, abs=1e-3)


def test_many_merge_as_one_after_the_other():
    random = np.random.default_rng(3)
    arrays = [random.standard_normal(50).astype(kind) for kind in (np.float16, np.float32, np.float16, np.float32)]
    arrays[2][7], arrays[3][0] = np.nan, np.inf
    arrays.insert(1, np.empty(0, np.float32))
    parts = [Sketch.of(array) for array in arrays]
    merged = Sketch.empty().merge(*parts)
    whole = Sketch.of(np.concatenate(arrays))
    assert (merged.count, merged.nan, merged.positive_infinity) == (200, 1, 1)
    assert merged.first_non_finite == 107
    np.testing.assert_array_equal(merged.keys, whole.keys)
    np.testing.assert_array_equal(merged.counts, whole.counts)
    assert (merged.minimum, merged.maximum, merged.layout) == (whole.minimum, whole.maximum, "float32")
    assert merged.sum == pytest.approx(whole.sum)
    assert merged.sum_of_squares == pytest.approx(whole.sum_of_squares)
    assert not merged.exact
    assert parts[0].merge(parts[1]) == parts[0].merge() == parts[0]
    halves = [Sketch.of(array) for array in (arrays[0], arrays[3])]
    assert halves[0].merge(halves[1]) == Sketch.of(np.concatenate([arrays[0], arrays[3]]))
