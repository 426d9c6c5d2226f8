import bz2
import io
import struct
import warnings
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightsmith.errors import SourceError
from weightsmith.sources.archive import Archive
from weightsmith.sources.file import LocalFile

PLAIN = bytes(range(256)) * 20
DEEP = b"weights " * 5000


def written(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


@pytest.fixture
def mixed(tmp_path):
    path = tmp_path / "mixed.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("top/", b"")
        archive.writestr("top/plain", PLAIN)
        archive.writestr("top/deep", DEEP, zipfile.ZIP_DEFLATED)
        archive.writestr("top/none", b"")
        archive.writestr("top/grün", b"x")
    return path


def read_all(path: Path) -> dict[str, tuple[int | None, bytes]]:
    archive = Archive(LocalFile(path))
    return {name: (archive.offset(name), archive.read(name, 1 << 30)) for name in archive.names}


def refused(path: Path, words: str) -> None:
    """Opening the archive or reading its members fails, in one line that names the file and has these words."""
    with pytest.raises(SourceError, match=words) as caught:
        read_all(path)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


def patched(path: Path, old: bytes, new: bytes, which: int = -1) -> Path:
    """The file with one occurrence of some bytes replaced: 0 the local header, -1 the directory."""
    data = path.read_bytes()
    positions = [at for at in range(len(data)) if data.startswith(old, at)]
    at = positions[which]
    path.write_bytes(data[:at] + new + data[at + len(old) :])
    return path


def test_reads_what_zipfile_wrote(mixed):
    archive = Archive(LocalFile(mixed))
    assert archive.names == ["top/plain", "top/deep", "top/none", "top/grün"]
    assert [archive.size(name) for name in archive.names] == [len(PLAIN), len(DEEP), 0, 1]
    assert archive.read("top/plain", len(PLAIN)) == PLAIN
    assert archive.read("top/deep", len(DEEP)) == DEEP
    assert archive.read("top/none", 0) == b""
    assert archive.read("top/grün", 1) == b"x"
    assert "top/deep" in archive
    assert "top/" not in archive


def test_offset_leads_to_the_bytes(mixed):
    archive = Archive(LocalFile(mixed))
    offset = archive.offset("top/plain")
    assert mixed.read_bytes()[offset : offset + len(PLAIN)] == PLAIN
    assert archive.offset("top/deep") is None


@pytest.mark.parametrize("name", ["top/plain", "top/deep"])
@pytest.mark.parametrize("size", [1, 7, 1000, 1 << 20])
def test_chunks_are_no_longer_than_asked(mixed, name, size):
    chunks = list(Archive(LocalFile(mixed)).chunks(name, size))
    assert b"".join(chunks) == {"top/plain": PLAIN, "top/deep": DEEP}[name]
    assert all(0 < len(chunk) <= size for chunk in chunks)


def test_an_archive_without_members_is_one(tmp_path):
    path = tmp_path / "none.zip"
    with zipfile.ZipFile(path, "w"):
        pass
    assert Archive(LocalFile(path)).names == []


def test_a_long_comment_and_bytes_before_the_archive_do_no_harm(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a", PLAIN)
        archive.comment = b"c" * 60_000
    path = tmp_path / "a.zip"
    path.write_bytes(b"#!/bin/sh\n" + buffer.getvalue())
    archive = Archive(LocalFile(path))
    assert archive.read("a", 1 << 20) == PLAIN
    assert path.read_bytes()[archive.offset("a") :].startswith(PLAIN)


def test_members_of_a_modest_size_may_be_held_whole(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, size in (("small", 64 << 20), ("bomb", (64 << 20) + 1)):
            archive.writestr(name, bytes(size))
        archive.writestr("plain", bytes((64 << 20) + 1), zipfile.ZIP_STORED)
    archive = Archive(LocalFile(path))
    assert [archive.is_modest(name) for name in ("small", "bomb", "plain")] == [True, False, True]


def test_limits_and_unknown_names(mixed):
    archive = Archive(LocalFile(mixed))
    with pytest.raises(SourceError, match="5119 are allowed"):
        archive.read("top/plain", 5119)
    with pytest.raises(SourceError, match="no member 'nothing'"):
        archive.size("nothing")


@pytest.mark.parametrize("data", [b"", b"P", b"PK\x03\x04", b"PK\x05\x06" + bytes(17), b"PK\x05\x06" + b"\xff" * 18])
def test_what_is_no_archive_is_refused(tmp_path, data):
    path = tmp_path / "a.zip"
    path.write_bytes(data)
    refused(path, "not a zip file")


def test_every_truncation_is_refused(tmp_path):
    data = written(tmp_path / "whole.zip", {"a": b"12345"}).read_bytes()
    for length in range(len(data)):
        path = tmp_path / "cut.zip"
        path.write_bytes(data[:length])
        refused(path, "zip file|damage")


@pytest.mark.parametrize("name", ["../a", "/a", "a/../../b", "..\\a", "C:/a", "a\0b"])
def test_names_that_lead_out_are_refused(tmp_path, name):
    path = written(tmp_path / "a.zip", {"x" * len(name): b"1"})
    data = path.read_bytes().replace(b"x" * len(name), name.encode())
    path.write_bytes(data)
    refused(path, "not inside its folder")


def test_a_member_listed_twice_is_refused(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr("a", b"1")
            archive.writestr("a", b"2")
    refused(tmp_path / "a.zip", "listed twice")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compression_is_refused(tmp_path, method):
    refused(written(tmp_path / "a.zip", {"a": b"1"}, method), "not by deflate")


def test_encryption_is_refused(tmp_path):
    path = written(tmp_path / "a.zip", {"a": b"1"})
    refused(patched(path, b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00"), "encrypted")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_changed_bytes_are_found(tmp_path, method):
    noise = bz2.compress(DEEP)
    path = written(tmp_path / "a.zip", {"a": noise}, method)
    data = bytearray(path.read_bytes())
    data[60] ^= 1
    path.write_bytes(bytes(data))
    refused(path, "damaged")


@pytest.mark.parametrize("claimed", [len(DEEP) - 1, len(DEEP) + 1])
def test_a_lie_about_the_inflated_size_is_found(tmp_path, claimed):
    path = written(tmp_path / "a.zip", {"a": DEEP}, zipfile.ZIP_DEFLATED)
    patched(path, struct.pack("<I", len(DEEP)), struct.pack("<I", claimed))
    refused(path, f"claims {claimed} bytes and holds")


def test_a_size_that_nothing_inflates_to_is_refused_at_once(tmp_path):
    path = written(tmp_path / "a.zip", {"a": DEEP}, zipfile.ZIP_DEFLATED)
    refused(patched(path, struct.pack("<I", len(DEEP)), struct.pack("<I", 1 << 30)), "claims 1073741824 bytes in")


def test_a_stored_member_of_two_sizes_is_refused(tmp_path):
    path = written(tmp_path / "a.zip", {"a": b"12345"})
    patched(path, struct.pack("<II", 5, 5), struct.pack("<II", 5, 4))
    refused(path, "claims 4 bytes in 5")


def test_members_that_share_bytes_are_refused(tmp_path):
    path = written(tmp_path / "a.zip", {"a": b"1" * 100, "b": b"2" * 100})
    data = path.read_bytes()
    second = data.index(b"PK\x03\x04", 4)
    # the first member now claims to reach into the second
    path.write_bytes(data.replace(struct.pack("<II", 100, 100), struct.pack("<II", 120, 120)))
    refused(path, "overlaps another")
    # both entries now point at one local header
    at = data.rindex(struct.pack("<I", second))
    path.write_bytes(data[:at] + struct.pack("<I", 0) + data[at + 4 :])
    refused(path, "overlaps another|another name")


def test_a_local_header_that_contradicts_the_directory_is_refused(tmp_path):
    refused(patched(written(tmp_path / "a.zip", {"abcd": b"1"}), b"abcd", b"abce", 0), "another name")
    refused(patched(written(tmp_path / "b.zip", {"abcd": b"1"}), b"PK\x03\x04", b"PK\x03\x05", 0), "contradicts")


def test_a_directory_of_a_forged_length_is_not_read(tmp_path):
    path = tmp_path / "a.zip"
    size = 40 << 20
    with path.open("wb") as file:
        file.truncate(size)
        file.seek(size)
        file.write(struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 1, 1, size, 0, 0))
    refused(path, "the directory claims")


@given(st.data())
def test_mutations_are_read_or_refused(tmp_path_factory, data):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a/plain", b"12345678")
        archive.writestr("a/deep", b"1" * 100, zipfile.ZIP_DEFLATED)
    raw = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
        if not raw:
            break
    path = tmp_path_factory.getbasetemp() / "mutated.zip"
    path.write_bytes(bytes(raw))
    try:
        found = read_all(path)
    except SourceError as error:
        message = str(error)
    else:
        for offset, content in found.values():
            assert offset is None or bytes(raw[offset : offset + len(content)]) == content
        return
    assert message.isprintable()
