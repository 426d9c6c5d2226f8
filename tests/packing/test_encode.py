import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from weightsmith.errors import InputError
from weightsmith.packing import FORMATS, Encoded, blocks, decode, encode, smallest
from weightsmith.sources import open as open_source
from weightsmith.sources.packed import open_packed, read_packed, write_packed

SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=11)
SCALES = st.floats(width=32, min_value=2.0**-100, max_value=2.0**100)
FLOATS = st.floats(width=32, allow_nan=True, allow_infinity=True)


def drawn(alphabet, *, elements):
    """Arrays of any shape with values from an alphabet, each row times a factor, and how many rows there are."""

    @st.composite
    def build(draw):
        values = draw(hnp.arrays(np.float32, SHAPES, elements=st.sampled_from(alphabet)))
        rows = values.shape[0] if values.ndim > 1 else 1
        factors = draw(st.one_of(st.just([1.0] * rows), st.lists(elements, min_size=rows, max_size=rows)))
        return (values * np.float32(factors).reshape(-1, *[1] * max(0, values.ndim - 1))).reshape(values.shape)

    return build()


WEIGHTS = {
    "binary": drawn((-1, 1), elements=SCALES) | drawn((0, 1), elements=SCALES.map(lambda s: -s) | SCALES),
    "ternary": drawn((-1, 0, 1), elements=SCALES),
    "bitmask": hnp.arrays(np.float32, SHAPES, elements=st.just(0.0) | FLOATS),
    "csr": hnp.arrays(np.float32, SHAPES, elements=st.just(0.0) | FLOATS),
    "gaps": hnp.arrays(np.float32, SHAPES, elements=st.just(0.0) | FLOATS),
    "fan_in": hnp.arrays(np.float32, SHAPES, elements=st.just(0.0) | FLOATS).filter(lambda w: w.size),
    "dense": hnp.arrays(np.float32, SHAPES, elements=FLOATS),
}


@pytest.mark.parametrize("form", FORMATS)
@settings(suppress_health_check=list(HealthCheck), max_examples=60)
@given(data=st.data())
def test_weights_come_back_from_every_format(form, data, tmp_path, reader):
    weight = data.draw(WEIGHTS[form])
    encoded = encode(weight, form)
    assert (encoded.format, encoded.shape) == (form, weight.shape)
    np.testing.assert_array_equal(decode(encoded), weight)
    np.testing.assert_array_equal(decode(smallest(weight).encoded), weight)
    path = tmp_path / "a.safetensors"
    write_packed(path, {"fc.weight": encoded, "fc.bias": np.arange(3)}, {"note": "x"})
    entries, metadata = read_packed(path)
    assert metadata == {"note": "x"}
    back = entries["fc.weight"]
    np.testing.assert_array_equal(decode(back) if isinstance(back, Encoded) else back, weight)
    np.testing.assert_array_equal(open_packed(path)["fc.weight"].read(), weight)
    found = reader(path)
    np.testing.assert_array_equal(found["fc.weight"], weight)
    assert found["fc.weight"].shape == weight.shape
    np.testing.assert_array_equal(found["fc.bias"], np.arange(3))


def test_bits_lie_as_the_page_says():
    weight = np.float32([[-1, 1, 1, -1, -1, -1, -1, -1, 1], [1, -1, -1, -1, -1, -1, -1, 1, -1]])
    encoded = encode(weight * 3, "binary")
    np.testing.assert_array_equal(encoded.tensors["bits"], np.uint8([[0b110, 1], [0b10000001, 0]]))
    np.testing.assert_array_equal(encoded.tensors["scale"], np.float32([3]))
    assert "scale" not in encode(weight, "binary").tensors
    np.testing.assert_array_equal(encode(weight * [[1], [2]], "binary").tensors["scale"], np.float32([1, 2]))


def test_the_alphabet_is_signs_where_both_would_do():
    assert encode(np.ones((2, 3), np.float32), "binary").alphabet == "signs"
    assert encode(np.ones((2, 3), np.float32), "binary", alphabet="bits").alphabet == "bits"
    assert encode(np.eye(3, dtype=np.float32) * -2, "binary").alphabet == "bits"
    with pytest.raises(InputError, match="not 0 and 1 times one factor"):
        encode(np.float32([[-1, 1]]), "binary", alphabet="bits")


def test_a_row_of_zeros_needs_no_scale_of_its_own():
    weight = np.float32([[0, 0], [0.5, 0], [0, -0.5]])
    for form in ("ternary", "csr", "bitmask"):
        np.testing.assert_array_equal(encode(weight, form).tensors["scale"], np.float32([0.5]))
    np.testing.assert_array_equal(decode(encode(np.float32([[0, 0], [1, -1]]), "binary")), [[0, 0], [1, -1]])


def test_a_negative_zero_is_zero():
    for form in FORMATS[:5]:
        weight = np.float32([[-0.0, 1.0, 1.0]]) if form != "binary" else np.float32([[-0.0, 1.0]])
        found = decode(encode(weight, form))
        np.testing.assert_array_equal(found, weight)
        assert not np.signbit(found[0, 0])


def test_infinite_and_nan_scales_reach_only_what_they_multiply():
    bits = np.packbits(np.array([[True, False]]), axis=1, bitorder="little")
    for scale in (np.inf, np.nan):
        tensors = {"bits": bits, "scale": np.float32([scale])}
        np.testing.assert_array_equal(decode(Encoded("binary", (1, 2), tensors, "bits")), [[scale, 0]])
        np.testing.assert_array_equal(decode(Encoded("binary", (1, 2), tensors)), [[scale, -scale]])
    np.testing.assert_array_equal(decode(encode(np.float32([[np.inf, -np.inf]]), "binary")), [[np.inf, -np.inf]])


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64, ml_dtypes.float8_e4m3fn])
def test_other_floats_are_packed_by_their_values(dtype):
    weight = np.array([[0.5, -0.5, 0.5], [-0.5, -0.5, 0.5]]).astype(dtype)
    np.testing.assert_array_equal(decode(smallest(weight).encoded), weight.astype(np.float32))
    assert encode(weight, "binary").values == "signs"


def test_what_cannot_be_packed_is_refused_by_name():
    third = np.full((2, 4), 1 / 3)
    third[0, 0] = 0
    with pytest.raises(InputError, match="float64 values that float32 does not hold"):
        encode(third, "bitmask")
    assert smallest(third).encoded.tensors[""].dtype == np.float64
    with pytest.raises(InputError, match="only floats can be packed, and these are int64"):
        smallest(np.arange(3))
    with pytest.raises(InputError, match=r"unknown format 'crs'.*did you mean 'csr'"):
        encode(third, "crs")
    with pytest.raises(InputError, match="65537 columns are more than 16 bits reach"):
        encode(np.zeros((1, 65537), np.float32), "csr")
    with pytest.raises(InputError, match="not ternary"):
        encode(np.float32([[1, 2, 0]]), "ternary")
    with pytest.raises(InputError, match="several magnitudes in a row"):
        encode(np.float32([[1, 2, 0]]), "csr", values="signs")
    with pytest.raises(InputError, match="rows with fewer weights than others"):
        encode(np.float32([[1, 0], [0, 0]]), "fan_in", values="signs")
    with pytest.raises(InputError, match=r"values up to 7e\+04 overflow float16: keep them as bfloat16"):
        encode(np.float32([[7e4, 1, 0]]), "csr", values="float16")


def test_all_65536_columns_are_reached():
    weight = np.zeros((2, 65536), np.float32)
    weight[1, -1] = 3.25
    for form in ("csr", "fan_in"):
        encoded = encode(weight, form)
        assert encoded.tensors["columns"].max() == 65535
        np.testing.assert_array_equal(decode(encoded), weight)


@pytest.mark.parametrize(("count", "dtype"), [(255, "uint8"), (256, "uint16"), (65535, "uint16"), (65536, "uint32")])
def test_pointers_are_as_small_as_they_can_be(count, dtype):
    weight = np.zeros((4, 30000), np.float32)
    weight.reshape(-1)[:count] = np.arange(1, count + 1)
    encoded = encode(weight, "csr")
    assert encoded.tensors["pointers"].dtype == dtype
    np.testing.assert_array_equal(decode(encoded), weight)


@pytest.mark.parametrize("name", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("form", ["bitmask", "csr", "gaps", "fan_in", "dense"])
def test_values_are_rounded_where_that_is_asked_for(name, form):
    weight = np.float32([[0, 1 / 3, 0], [np.nan, 0, -7.1]])
    encoded = encode(weight, form, values=name)
    assert encoded.values == name
    np.testing.assert_array_equal(
        decode(encoded), weight.astype(encoded.tensors.get("values", encoded.tensors.get("")).dtype).astype("f4")
    )


def test_small_types_are_used_where_they_lose_nothing():
    assert encode(np.float32([[0, 1, 0.5, 3]]), "csr").values == "bfloat16"
    assert encode(np.float32([[0, 1, 0.5, 1 + 2**-10]]), "csr").values == "float16"
    assert encode(np.float32([[0, 1, 0.5, 1 + 2**-20]]), "csr").values == "float32"


def test_strided_weights_are_packed():
    weight = np.where(np.arange(60).reshape(6, 10) % 7 == 0, 0.25, 0).astype(np.float32).T[::2]
    for form in ("binary", "ternary", "bitmask", "csr", "gaps", "fan_in", "dense"):
        np.testing.assert_array_equal(decode(encode(weight, form)), weight)


@pytest.mark.parametrize("places", [[0], [254], [255], [0, 255, 511], [0, 256, 766], [509, 510, 999], []])
def test_gaps_of_every_length_lead_to_their_places(places, tmp_path, reader):
    weight = np.zeros((10, 100), np.float32)
    weight.reshape(-1)[places] = np.arange(1, len(places) + 1) / 3
    encoded = encode(weight, "gaps")
    *lengths, behind = np.diff([-1, *places, 1000]) - 1
    bytes_before = [byte for length in lengths for byte in [255] * (length // 255) + [length % 255]]
    assert encoded.tensors["gaps"].tolist() == bytes_before + [255] * (behind // 255)
    write_packed(tmp_path / "a", {"w": encoded})
    np.testing.assert_array_equal(reader(tmp_path / "a")["w"], weight)
    np.testing.assert_array_equal(decode(encoded), weight)


def test_gaps_reach_more_columns_than_16_bits():
    weight = np.zeros((2, 200_000), np.float32)
    weight[0, 70_000], weight[1, -1] = 1.5, 2.5
    np.testing.assert_array_equal(decode(encode(weight, "gaps")), weight)
    assert smallest(weight).encoded.format == "gaps"


def test_weights_beyond_31_bits_of_elements():
    rows, columns = 40_000, 65_536  # 2.6e9 elements, of which a few bytes are kept
    pointers = np.zeros(rows + 1, np.uint8)
    pointers[-1] = 1
    last = {"columns": np.uint16([columns - 1]), "values": np.float32([5])}
    encoded = Encoded("csr", (rows, columns), {"pointers": pointers, **last})
    from weightsmith.packing.decode import _offsets, _rows

    (row,) = _rows(encoded, _offsets(encoded), rows - 1, rows)
    assert (row[-1], row.sum()) == (5, 5)
    assert next(blocks(encoded)).size <= 1 << 22
    bits = np.zeros((1 << 19, 513), np.uint8)  # 2.1e9 bits, never touched but in the last row
    bits[-1, -1] = 0x80
    plane = Encoded("binary", (1 << 19, 513 * 8), {"bits": bits}, "bits")
    assert _rows(plane, _offsets(plane), (1 << 19) - 1, 1 << 19).nonzero() == (0, 513 * 8 - 1)


def test_packed_files_open_as_any_other(tmp_path):
    weight = np.float32([[0, 0.5], [-0.5, 0]])
    write_packed(tmp_path / "model.bin", {"fc.weight": encode(weight)})
    source = open_source(tmp_path / "model.bin")
    assert source.file_format == "packed"
    assert source["fc.weight"].role == "linear"
