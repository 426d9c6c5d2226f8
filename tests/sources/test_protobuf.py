import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightsmith.errors import SourceError
from weightsmith.sources.file import LocalFile
from weightsmith.sources.protobuf import FIXED32, FIXED64, LENGTH, VARINT, Reader


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def encode(number: int, wire: int, content: object) -> bytes:
    tag = varint(number << 3 | wire)
    if wire == VARINT:
        return tag + varint(content)
    if wire == LENGTH:
        return tag + varint(len(content)) + content
    return tag + content


@pytest.fixture
def reader_of(tmp_path):
    def make(data: bytes, **options: int) -> Reader:
        path = tmp_path / "message"
        path.write_bytes(data)
        return Reader(LocalFile(path), **options)

    return make


UINT64 = st.one_of(st.integers(0, 300), st.integers(0, 2**64 - 1))
FIELDS = st.lists(
    st.tuples(
        st.integers(1, 2**29 - 1),
        st.one_of(
            st.tuples(st.just(VARINT), UINT64),
            st.tuples(st.just(LENGTH), st.binary(max_size=40000)),
            st.tuples(st.just(FIXED32), st.binary(min_size=4, max_size=4)),
            st.tuples(st.just(FIXED64), st.binary(min_size=8, max_size=8)),
        ),
    ),
    max_size=20,
)


@given(fields=FIELDS)
def test_every_field_of_random_messages_comes_back(tmp_path_factory, fields):
    path = tmp_path_factory.mktemp("wire") / "message"
    data = b"".join(encode(number, wire, content) for number, (wire, content) in fields)
    path.write_bytes(data)
    found = list(Reader(LocalFile(path)).fields(0, len(data)))
    assert [(field.number, field.wire) for field in found] == [(number, wire) for number, (wire, _) in fields]
    for field, (_, (wire, content)) in zip(found, fields, strict=True):
        if wire == VARINT:
            assert field.value == content
            assert field.signed == np.uint64(content).astype(np.int64)
        else:
            assert data[field.start : field.end] == content


@given(values=st.lists(UINT64, max_size=300))
def test_packed_varints_are_decoded_in_bulk_and_one_by_one(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("wire") / "message"
    packed = b"".join(map(varint, values))
    path.write_bytes(encode(1, LENGTH, packed))
    reader = Reader(LocalFile(path))
    (field,) = reader.fields(0, reader.file.size)
    chunks = list(reader.varints(field.start, field.end))
    assert [int(value) for chunk in chunks for value in chunk] == values
    assert reader.integers(field, 300) == [int(np.uint64(value).astype(np.int64)) for value in values]


def test_varints_of_every_length_across_the_borders_of_chunks(reader_of):
    values = np.random.default_rng(0).integers(0, 2**63, 400_000, dtype=np.uint64)
    values >>= np.random.default_rng(1).integers(0, 64, values.size, dtype=np.uint64)
    packed = b"".join(varint(int(value)) for value in values)
    chunks = list(reader_of(packed).varints(0, len(packed)))
    assert len(chunks) > 3
    assert np.array_equal(np.concatenate(chunks), values)


def test_stepping_over_content_does_not_read_it(tmp_path):
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.write(b"\x0a" + varint(1 << 40))
        file.seek(1 << 40, 1)
        file.write(encode(2, VARINT, 7))
    reads = []

    class Counting(LocalFile):
        def read_into(self, start: int, buffer: memoryview) -> None:
            reads.append(len(buffer))
            super().read_into(start, buffer)

    file = Counting(path)
    assert [field.number for field in Reader(file).fields(0, file.size)] == [1, 2]
    assert sum(reads) < 1 << 16


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\x80", "cut off"),
        (b"\x08" + b"\xff" * 10 + b"\x01", "more than 10 bytes"),
        (b"\x08\x80", "cut off"),
        (b"\x0a\x05abc", "outside what encloses it"),
        (b"\x0a" + varint(2**64 - 1), "outside what encloses it"),
        (b"\x0d\x00\x00", "outside what encloses it"),
        (b"\x09\x00", "outside what encloses it"),
        (b"\x0b", "a group"),
        (b"\x0c", "a group"),
        (b"\x0e", "unknown wire type 6"),
        (b"\x0f", "unknown wire type 7"),
        (b"\x00\x00", "impossible number 0"),
        (varint(1 << 40), "impossible number"),
    ],
)
def test_malformed_messages_are_refused_in_one_line(reader_of, data, problem):
    reader = reader_of(data)
    with pytest.raises(SourceError, match=problem) as caught:
        list(reader.fields(0, len(data)))
    assert str(caught.value).startswith(str(reader.file.label))
    assert "\n" not in str(caught.value)


def test_a_length_may_not_lead_out_of_the_enclosing_message(reader_of):
    inner = b"\x0a\x08ab"  # claims eight bytes, of which only the outer message has enough
    data = encode(1, LENGTH, inner) + encode(2, LENGTH, b"more bytes")
    reader = reader_of(data)
    outer = next(reader.fields(0, len(data)))
    with pytest.raises(SourceError, match="outside what encloses it"):
        list(reader.message(outer))


@pytest.mark.parametrize(
    ("packed", "problem"),
    [(b"\x80" * 11 + b"\x01", "more than 10"), (b"\x01\x80\x80", "cut off"), (b"\x80", "cut off")],
)
def test_malformed_packed_varints_are_refused(reader_of, packed, problem):
    with pytest.raises(SourceError, match=problem):
        list(reader_of(packed).varints(0, len(packed)))


def test_text_that_is_none_is_refused(reader_of):
    data = encode(1, LENGTH, b"\xff\xfe") + encode(2, VARINT, 5) + encode(3, LENGTH, b"long")
    reader = reader_of(data)
    wrong, number, long = reader.fields(0, len(data))
    with pytest.raises(SourceError, match="not UTF-8"):
        reader.text(wrong)
    with pytest.raises(SourceError, match="should be text"):
        reader.text(number)
    with pytest.raises(SourceError, match=r"4 bytes .* 3 are allowed"):
        reader.text(long, limit=3)
    with pytest.raises(SourceError, match="should be an integer"):
        reader.integer(wrong)
    with pytest.raises(SourceError, match="should be a message"):
        reader.message(number)
    assert reader.text(long) == "long"


def test_lists_and_fields_are_counted(reader_of):
    data = encode(1, LENGTH, bytes(50)) + b"\x08\x00" * 50
    reader = reader_of(data, fields=30)
    first = next(reader.fields(0, len(data)))
    with pytest.raises(SourceError, match="more than 20 integers"):
        reader.integers(first, 20)
    with pytest.raises(SourceError, match="more than 30 fields"):
        list(reader.fields(0, len(data)))


def test_long_texts_and_windows_agree(reader_of):
    text = "ä" * 20_000
    data = encode(1, VARINT, 3) + encode(2, LENGTH, text.encode()) + encode(3, FIXED64, struct.pack("<d", 1.5))
    reader = reader_of(data)
    fields = list(reader.fields(0, len(data)))
    assert reader.text(fields[1]) == text
    assert Path(reader.file.label).read_bytes()[fields[2].start : fields[2].end] == struct.pack("<d", 1.5)
