import json
import struct

import numpy as np
import pytest

from weightsmith.errors import InputError, SourceError
from weightsmith.packing import METADATA, Encoded, decode, encode
from weightsmith.sources import open as open_source
from weightsmith.sources import open_safetensors, write_safetensors
from weightsmith.sources.packed import open_packed, read_packed, write_packed

SPARSE = np.float32([[0, 1.5, 0, 0, 0, 0, 0, 0, 2.5], [0, 0, 0, 0, 0, 0, 0, 0, 0], [3.5, 0, 0, 0, 0, 0, 0, 4.5, 0]])
SIGNS = np.sign(SPARSE)


def changed(weight, form, *, options=(), **parts):
    """A packed weight with some of its parts replaced, or left out where they are None."""
    encoded = encode(weight, form, **dict(options))
    tensors = {**encoded.tensors, **parts}
    return Encoded(form, encoded.shape, {name: part for name, part in tensors.items() if part is not None})


def u1(*values):
    return np.array(values, np.uint8)


def u2(*values):
    return np.array(values, np.uint16)


BITS = encode(SIGNS, "bitmask").tensors["mask"]
BEHIND = BITS | u1([0, 2], [0, 0], [0, 0])
BROKEN = {
    "no part 'bits', which binary needs": changed(np.sign(SPARSE - 1), "binary", bits=None),
    "a part 'x', which binary has no use for": changed(np.sign(SPARSE - 1), "binary", x=u1(1)),
    r"'bits' in the shape \[2, 2\], which must be \[3, 2\]": changed(np.sign(SPARSE - 1), "binary", bits=BITS[:2]),
    "'bits' as int8, which must be uint8": changed(np.sign(SPARSE - 1), "binary", bits=BITS.astype(np.int8)),
    "'bits' that are set behind column 9": changed(np.sign(SPARSE - 1), "binary", bits=BEHIND),
    r"'scale' in the shape \[2\], which must be \[1\] or \[3\]": changed(SIGNS, "ternary", scale=np.ones(2, "f4")),
    "'scale' as float64, which must be float32": changed(SIGNS, "ternary", scale=np.ones(3)),
    "weights that are both plus and minus": changed(SIGNS, "ternary", minus=encode(SIGNS, "ternary").tensors["plus"]),
    "'mask' that are set behind column 9": changed(SPARSE, "bitmask", mask=BEHIND),
    "3 values for the 4 places that it names": changed(SPARSE, "bitmask", values=np.ones(3, "f4")),
    r"'values' in the shape \[4, 1\], which must be a list": changed(SPARSE, "bitmask", values=np.ones((4, 1), "f4")),
    "'values' as float64, which must be float32 or float16": changed(SPARSE, "bitmask", values=np.ones(4)),
    "either 'values' or 'signs', and has both": changed(SPARSE, "bitmask", signs=u1(0)),
    "either 'values' or 'signs', and has neither": changed(SPARSE, "bitmask", values=None),
    "2 bytes of signs for the 4 places": changed(SIGNS, "bitmask", signs=u1(0, 0)),
    "'signs' that are set behind the last of 4": changed(SIGNS, "bitmask", signs=u1(16)),
    "a part 'scale', which csr has no use for": changed(SPARSE, "csr", scale=np.ones(1, "f4")),
    r"'pointers' in the shape \[3\], which must be \[4\]": changed(SPARSE, "csr", pointers=u1(0, 2, 4)),
    "'pointers' as int16, which must be uint8": changed(SPARSE, "csr", pointers=np.array([0, 2, 2, 4], np.int16)),
    "row pointers from 1 to 4, which must go from 0 to 4": changed(SPARSE, "csr", pointers=u1(1, 2, 2, 4)),
    "row pointers from 0 to 5, which must go from 0 to 4": changed(SPARSE, "csr", pointers=u1(0, 2, 2, 5)),
    "row pointers that go backwards at row 1": changed(SPARSE, "csr", pointers=u1(0, 4, 2, 4)),
    "a column 9, of which there are 9": changed(SPARSE, "csr", columns=u2(1, 9, 0, 7)),
    "columns that do not ascend, at value 3": changed(SPARSE, "csr", columns=u2(1, 8, 7, 0)),
    "columns that do not ascend, at value 1": changed(SPARSE, "csr", columns=u2(8, 8, 0, 7)),
    r"'values' in the shape \[5\], which must be \[4\]": changed(SPARSE, "csr", values=np.ones(5, "f4")),
    r"'signs' in the shape \[2\], which must be \[1\]": changed(SIGNS, "csr", signs=u1(0, 0)),
    "'columns' as int32": changed(SPARSE, "csr", columns=np.array([1, 8, 0, 7], np.int32)),
    "gaps that lead no further than 19 of its 300": Encoded("gaps", (300, 1), {"gaps": u1(9, 8), "signs": u1(0)}),
    "gaps that lead beyond the last of its 27 places": changed(SPARSE, "gaps", gaps=u1(1, 6, 9, 9)),
    "lead beyond the last of its 27": changed(SPARSE, "gaps", gaps=u1(1, 6, 9, 7, 255)),
    "4 values for the 3 places that it names": changed(SPARSE, "gaps", gaps=u1(1, 6, 1)),
    "'gaps' as uint16, which must be uint8": changed(SPARSE, "gaps", gaps=u2(1, 6, 1, 6)),
    r"'gaps' in the shape \[4, 1\], which must be a list": changed(SPARSE, "gaps", gaps=u1(1, 6, 1, 6)[:, None]),
    r"'columns' in the shape \[3\], which must be \[3, 1 to 9\]": changed(SPARSE, "fan_in", columns=u2(0, 1, 2)),
    r"'columns' in the shape \[3, 0\]": changed(SPARSE, "fan_in", columns=np.empty((3, 0), np.uint16)),
    "columns that do not ascend, at value 5": changed(SPARSE, "fan_in", columns=u2([1, 8], [0, 1], [7, 0])),
    "has 65537 columns, of which 16 bits reach 65536": Encoded(
        "csr", (1, 65537), {"pointers": u1(0, 1), "columns": u2(0), "values": np.ones(1, "f4")}
    ),
}


@pytest.mark.parametrize("message", BROKEN)
def test_parts_that_do_not_fit_are_refused_wherever_they_turn_up(message, tmp_path):
    broken = BROKEN[message]
    with pytest.raises(SourceError, match=message):
        decode(broken)
    path = tmp_path / "a.safetensors"
    with pytest.raises(SourceError, match=f"'fc.weight' .*{message}"):
        write_packed(path, {"fc.weight": broken})
    assert not path.exists()
    layout = {"format": broken.format, "shape": list(broken.shape)}
    write_raw(path, {"fc.weight": layout}, {f"fc.weight.{name}": part for name, part in broken.tensors.items()})
    if "'x'" not in message:  # a tensor of a name that no part has is a weight of its own
        for read in (read_packed, lambda path: [weight.read() for weight in open_source(path).values()]):
            with pytest.raises(SourceError, match=f"a.safetensors: .*{message}.*: the file is damaged or") as refused:
                read(path)
            assert "fc.weight" in str(refused.value)


def write_raw(path, weights, tensors, version=1):
    text = weights if isinstance(weights, str) else json.dumps({"version": version, "weights": weights})
    write_safetensors(path, tensors, {METADATA: text})


PART = {"w.bits": u1([5])}
LAYOUT = {"format": "binary", "shape": [1, 3]}


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("{", "its metadata is no JSON"),
        ("[1]", "its metadata states no version"),
        ('{"version": true, "weights": {}}', "its metadata states no version"),
        ('{"version": 1}', "must have version and weights alone"),
        ('{"version": 1, "weights": {}, "x": 1}', "must have version and weights alone"),
        ('{"version": 1, "weights": {"w": {}, "w": {}}}', "its metadata names 'w' twice"),
        ({"w": []}, "'w' must have a format, a shape"),
        ({"w": {**LAYOUT, "bits": 1}}, "'w' must have a format, a shape"),
        ({"w": {**LAYOUT, "format": "quaternary"}}, "'w' has the unknown format quaternary"),
        ({"w": {**LAYOUT, "format": ["binary"]}}, "'w' has the unknown format"),
        ({"w": {**LAYOUT, "format": "dense"}}, "'w' has the unknown format dense"),
        ({"w": {**LAYOUT, "alphabet": "roman"}}, "'w' has the unknown alphabet roman"),
        ({"w": {"format": "ternary", "shape": [1, 3], "alphabet": "bits"}}, "'w' has the unknown alphabet bits"),
        *(
            ({"w": {**LAYOUT, "shape": shape}}, "'w' has a shape that no weight can have")
            for shape in ("3", [1.0, 3], [True, 3], [-1, 3], [1 << 56], [1 << 30, 1 << 30], [0, 1 << 60], [1] * 40)
        ),
        ({"w": {**LAYOUT, "shape": [1, 9]}}, r"'bits' in the shape \[1, 1\], which must be \[1, 2\]"),
        ({"w": {**LAYOUT, "shape": [1 << 40, 3]}}, r"which must be \[1099511627776, 1\]"),
        ({"w": {**LAYOUT, "shape": [1, 2]}}, "'bits' that are set behind column 2"),
        ({"w": LAYOUT, "x": LAYOUT}, "'x' has no part 'bits'"),
        ({"w": LAYOUT, "w.bits": LAYOUT}, "'w.bits' is there twice|'w.bits' has no part"),
    ],
)
def test_metadata_that_lies_is_refused(weights, message, tmp_path):
    path = tmp_path / "a.safetensors"
    write_raw(path, weights, PART)
    with pytest.raises(SourceError, match=message) as refused:
        read_packed(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert "\n" not in str(refused.value)
    with pytest.raises(SourceError, match=message):
        _ = [weight.read() for weight in open_source(path).values()]


@pytest.mark.parametrize("form", ["binary", "ternary", "bitmask", "gaps"])
def test_any_number_of_rows_without_columns_takes_no_memory(form, tmp_path):
    parts = {"binary": ["bits"], "ternary": ["plus", "minus"], "bitmask": ["mask"], "gaps": []}[form]
    planes = {f"w.{part}": np.empty((1 << 50, 0), np.uint8) for part in parts}
    kept = {} if form in ("binary", "ternary") else {"w.signs": u1()}
    kept |= {"w.gaps": u1()} if form == "gaps" else {}
    write_raw(tmp_path / "a", {"w": {"format": form, "shape": [1 << 50, 0]}}, planes | kept)
    assert read_packed(tmp_path / "a")[0]["w"].shape == (1 << 50, 0)
    assert list(open_packed(tmp_path / "a")["w"].blocks()) == []


def test_a_few_gaps_cannot_claim_many_rows(tmp_path):
    tensors = {"w.gaps": u1(3), "w.signs": u1(1)}
    write_raw(tmp_path / "a", {"w": {"format": "gaps", "shape": [1 << 50, 8]}}, tensors)
    with pytest.raises(SourceError, match="'w' has gaps that lead no further than 4 of its"):
        open_packed(tmp_path / "a")["w"].read()


def test_unknown_versions_are_refused_with_what_to_do(tmp_path):
    path = tmp_path / "a.safetensors"
    write_raw(path, {"w": {"new": "keys"}}, PART, version=2)
    with pytest.raises(SourceError, match=r"packed in version 2, and this Weightsmith reads version 1: update it$"):
        read_packed(path)


def test_two_weights_cannot_share_a_name(tmp_path):
    packed = encode(SIGNS, "ternary")
    for entries in (
        {"w": packed, "w.plus": SIGNS},
        {"w.plus": SIGNS, "w": packed},
        {"w": packed, "w.scale": SIGNS},
        {"w": packed, "w.values": SIGNS},
        {"w": encode(SPARSE, "csr"), "w.columns": encode(SIGNS, "dense")},
    ):
        with pytest.raises((InputError, SourceError), match=r"share the name|has a part|another name"):
            write_packed(tmp_path / "a", entries)
    write_packed(tmp_path / "a", {"w": packed, "w.other": SIGNS, "w.bits": SIGNS})
    assert set(open_packed(tmp_path / "a")) == {"w", "w.other", "w.bits"}
    write_raw(tmp_path / "b", {"w": LAYOUT}, {**PART, "w": SIGNS})
    with pytest.raises(SourceError, match="'w' is there twice, packed and plain"):
        read_packed(tmp_path / "b")


@pytest.mark.parametrize("form", ["binary", "ternary", "bitmask", "csr", "fan_in"])
def test_truncated_files_are_refused(form, tmp_path):
    path = tmp_path / "a.safetensors"
    write_packed(path, {"fc.weight": encode(SIGNS if form != "binary" else abs(SIGNS), form), "fc.bias": np.ones(3)})
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(SourceError, match=r"a\.safetensors"):
            read_packed(path)


def test_a_damaged_byte_never_gives_another_shape(tmp_path):
    path = tmp_path / "a.safetensors"
    write_packed(path, {"w": encode(SPARSE, "csr")})
    whole = bytearray(path.read_bytes())
    start = 8 + struct.unpack("<Q", whole[:8])[0]
    for at in range(8, len(whole)):
        path.write_bytes(whole[:at] + bytes([(0, 255, whole[at] ^ 1)[at % 3]]) + whole[at + 1 :])
        try:
            found = read_packed(path)[0]["w"]
        except (SourceError, KeyError):  # metadata under another name: no packed file, or another weight
            continue
        assert decode(found).shape == found.shape
        assert at < start or found.shape == (3, 9)


def test_plain_files_are_told_from_packed_ones(tmp_path):
    path = tmp_path / "a.safetensors"
    write_safetensors(path, {"w": SIGNS})
    for read in (open_packed, read_packed):
        with pytest.raises(SourceError, match="is not packed"):
            read(path)
    with pytest.raises(InputError, match="is what packing itself writes"):
        write_packed(path, {}, {METADATA: "x"})
    np.testing.assert_array_equal(open_safetensors(path)["w"].read(), SIGNS)


def test_the_order_of_the_model_is_kept(tmp_path):
    names = ["0.weight", "0.bias", "1.norm", "2.weight", "3.weight", "3.bias", "4.weight"]
    entries = {
        name: encode(SIGNS, "ternary" if at else "csr") if name.endswith("weight") else np.ones(3)
        for at, name in enumerate(names)
    }
    write_packed(tmp_path / "a", entries, {"format": "pt"})
    source = open_packed(tmp_path / "a")
    assert list(source) == names
    assert source.metadata == {"format": "pt"}
    assert source["0.weight"].nbytes == entries["0.weight"].nbytes
