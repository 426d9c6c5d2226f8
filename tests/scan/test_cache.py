import os
import shutil
import subprocess
import sys
import textwrap
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import weightsmith.sources as sources
from weightsmith.errors import SourceError
from weightsmith.scan import Cache, cache_folder, scan
from weightsmith.scan.cache import _Entry
from weightsmith.scan.record import Record
from weightsmith.sketch import Sketch
from weightsmith.sources import LocalFile, Source, write_safetensors

OLD = time.time() - 1000


@pytest.fixture
def file(model, tmp_path, monkeypatch):
    """A file that was written long ago: its times are trusted."""
    path = tmp_path / "model.safetensors"
    shutil.copy(model, path)
    monkeypatch.setattr("weightsmith.scan.cache.RACY", -1e9)
    return path


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache" / "scans")


@pytest.fixture
def no_reading(monkeypatch):
    """Switch that makes every later reading of values fail; headers may be read."""

    def switch(source):
        def refuse(start, buffer):
            raise AssertionError("the values were read")

        for weight in source.values():
            if weight.place is not None:
                monkeypatch.setattr(weight.place.file, "read_into", refuse)
        return source

    return switch


def test_a_second_scan_reads_no_values_and_gives_the_same(file, cache, no_reading):
    first = scan(sources.open(file), cache=cache)
    second = scan(no_reading(sources.open(file)), cache=cache)
    assert (first.cached, second.cached) == (False, True)
    assert first.summaries == second.summaries


def test_a_copy_hits_by_content_and_then_by_identity(file, cache, no_reading, monkeypatch):
    first = scan(sources.open(file), cache=cache)
    other = file.with_name("other.safetensors")
    shutil.copy(file, other)
    monkeypatch.setattr("weightsmith.scan.scanning._count", None)
    assert scan(sources.open(other), cache=cache).summaries == first.summaries
    assert scan(no_reading(sources.open(other)), cache=cache).cached


def test_a_changed_file_misses(file, cache):
    scan(sources.open(file), cache=cache)
    with file.open("r+b") as opened:
        opened.seek(-1, os.SEEK_END)
        last = opened.read(1)
        opened.seek(-1, os.SEEK_END)
        opened.write(bytes([last[0] ^ 1]))
    found = scan(sources.open(file), cache=cache)
    assert not found.cached
    assert found.sketches == scan(sources.open(file)).sketches


def test_a_file_written_just_now_is_not_known_by_its_times(model, tmp_path, cache):
    path = tmp_path / "new.safetensors"
    shutil.copy(model, path)
    scan(sources.open(path), cache=cache)
    assert not list(cache.folder.glob("*.file"))
    assert scan(sources.open(path), cache=cache).cached  # by content


def test_a_file_that_changes_during_the_scan_is_not_kept(file, cache):
    source = sources.open(file)

    def progress(done, total, name):
        os.utime(file, (done, done))

    found = scan(source, cache=cache, progress=progress)
    assert found.remark == "not cached: the file changed while it was scanned"
    assert not cache.folder.exists()


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty", "garbage", "version"])
def test_damaged_entries_are_ignored_and_written_anew(file, cache, damage):
    expected = scan(sources.open(file), cache=cache).summaries
    (entry,) = cache.folder.glob("*.scan")
    data = bytearray(entry.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 4
    elif damage == "version":
        data[4] ^= 7
    else:
        data = {"truncate": data[:-3], "empty": b"", "garbage": b"x" * 500}[damage]
    entry.write_bytes(data)
    again = scan(sources.open(file), cache=cache)
    assert not again.cached
    assert again.summaries == expected
    assert scan(sources.open(file), cache=cache).cached


@pytest.mark.parametrize("content", [b"", b"../../x", b"\xff\xfe", b"nothing-here.scan"])
def test_damaged_pointers_are_ignored(file, cache, content):
    expected = scan(sources.open(file), cache=cache).summaries
    (pointer,) = cache.folder.glob("*.file")
    pointer.write_bytes(content)
    assert scan(sources.open(file), cache=cache).summaries == expected


def test_a_folder_that_cannot_be_written_is_one_remark(file, tmp_path):
    (tmp_path / "taken").write_text("a file")
    found = scan(sources.open(file), cache=Cache(tmp_path / "taken" / "scans"))
    assert found.summaries[1].sketch is not None
    assert (found.remark or "").startswith("not cached: ")
    assert "\n" not in (found.remark or "")


def test_the_oldest_are_deleted_beyond_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr("weightsmith.scan.cache.RACY", -1e9)
    cache = Cache(tmp_path / "scans", limit=6_000)
    random = np.random.default_rng(0)
    for i in range(8):
        path = tmp_path / f"{i}.safetensors"
        write_safetensors(path, {"w": random.standard_normal(20_000).astype(np.float32)})
        scan(sources.open(path), cache=cache)
        for age, kept in enumerate(sorted(cache.folder.iterdir(), key=lambda p: p.stat().st_mtime, reverse=True)):
            os.utime(kept, (OLD - age, OLD - age))
        assert sum(kept.stat().st_size for kept in cache.folder.iterdir()) <= 6_000
    assert scan(sources.open(path), cache=cache).cached
    assert not scan(sources.open(tmp_path / "0.safetensors"), cache=cache).cached


def test_what_a_server_failed_to_give_is_not_kept(file, cache):
    class Elsewhere:
        def __init__(self, inner):
            self.label, self.size, self.inner = "memory://x", inner.size, inner

        def identity(self):
            return "tag"

        def read_into(self, start, buffer):
            raise SourceError("the server is away")

        def view(self, start, length):
            return self.inner.view(start, length)

        def sibling(self, name):
            raise SourceError("none")

    source = sources.open(file)
    far = Elsewhere(LocalFile(file))
    moved = Source(
        "memory://x",
        [replace(w, place=replace(w.place, file=far)) for w in source.values() if w.place is not None],
        files=[far],
    )
    found = scan(moved, cache=cache)
    assert found.unread[0].reason == "the server is away"
    assert not cache.folder.exists()


def test_roles_of_the_user_hold_for_cached_scans(file, cache):
    scan(sources.open(file), cache=cache)
    found = scan(sources.open(file, roles={"head.codes": "embedding"}), cache=cache)
    assert found.cached
    assert {s.name: s.info.role for s in found.summaries}["head.codes"] == "embedding"


def test_live_modules_are_not_cached(cache):
    from torch import nn

    assert not scan(sources.open(nn.Linear(2, 2)), cache=cache).cached
    assert not cache.folder.exists()


RECORDS = st.builds(
    Record,
    st.none() | hnp.arrays(np.float32, st.integers(0, 30), elements=st.floats(width=32)).map(Sketch.of),
    st.none() | st.integers(0, 64),
    st.none() | st.text("0123456789abcdef", min_size=32, max_size=32),
    st.none() | st.text(),
)


@given(st.lists(RECORDS, max_size=4))
def test_entries_survive_the_round_trip(records):
    found = _Entry.read(_Entry(records).to_bytes())
    assert found is not None
    assert found.records == records


@given(st.binary(max_size=80), st.lists(RECORDS, max_size=2), st.integers(0, 10_000), st.integers(1, 255))
def test_other_bytes_are_no_entry(noise, records, place, change):
    assert _Entry.read(noise) is None
    data = bytearray(_Entry(records).to_bytes())
    data[place % len(data)] ^= change
    assert _Entry.read(bytes(data)) is None


@pytest.mark.parametrize(
    ("store", "expected"),
    [
        ("{}/runs", "{}/runs/cache/scans"),
        ("{}/runs.db", "{}/runs.files/cache/scans"),
        ("sqlite:///{}/runs.db", "{}/runs.files/cache/scans"),
    ],
)
def test_the_cache_lies_beside_the_store(tmp_path, store, expected):
    from weightsmith.store.location import locate

    given_store = store.format(tmp_path)
    assert str(cache_folder(given_store)) == expected.format(tmp_path)
    if "sqlite" not in store:
        assert locate(given_store).files.parent in cache_folder(given_store).parents


def test_without_a_folder_of_its_own_it_lies_in_the_users_data(monkeypatch, tmp_path):
    from platformdirs import user_data_path

    monkeypatch.delenv("WEIGHTSMITH_FILES")
    expected = user_data_path("weightsmith", appauthor=False) / "cache" / "scans"
    assert cache_folder("postgresql://user:secret@host/db") == expected
    monkeypatch.delenv("WEIGHTSMITH_STORE")
    assert cache_folder() == expected
    monkeypatch.setenv("WEIGHTSMITH_STORE", str(tmp_path))
    assert cache_folder() == tmp_path / "cache" / "scans"


def test_a_cached_scan_loads_nothing_heavy(model, private_store):
    code = f"""
        import sys
        from weightsmith.cli.app import main
        sys.argv = ["weightsmith", "scan", {str(model)!r}]
        try:
            main()
        except SystemExit:
            pass
        heavy = {{"numba", "scipy", "torch", "sqlalchemy", "rich", "matplotlib", "sklearn"}} & set(sys.modules)
        print("heavy:", sorted(heavy))
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    first, second = (subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2))
    assert "numba" in first
    assert "(cached)" in second
    assert second.splitlines()[-1] == "heavy: []"
