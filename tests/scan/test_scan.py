import threading
from dataclasses import replace

import numpy as np
import pytest

import weightsmith.sources as sources
from weightsmith.errors import InputError, SourceError
from weightsmith.scan import Scan, Summary, scan
from weightsmith.scan.scanning import first_of_tied
from weightsmith.scan.table import totals
from weightsmith.sketch import Sketch
from weightsmith.sources import Place, Source, Weight, write_safetensors
from weightsmith.weight import WeightInfo


def made(name, array, **options):
    info = WeightInfo(name, array.shape, array.dtype.name, "other", **options)
    return Weight(info, array.nbytes, lambda: array)


def test_every_weight_is_counted_as_its_whole_array(model, arrays):
    source = sources.open(model)
    found = scan(source)
    assert [summary.name for summary in found.summaries] == list(source)
    for name, array in arrays.items():
        assert found.sketches[name] == Sketch.of(array), name
    assert found.unread == ()
    assert (found.file_format, found.label, found.cached) == ("safetensors", str(model), False)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_change_nothing(model, threads):
    source = sources.open(model)
    assert scan(source, threads=threads).summaries == scan(source, threads=3).summaries


def test_weights_without_a_place_are_streamed(model, arrays):
    source = sources.open(model)
    computed = Source("computed", [replace(weight, place=None, _read=weight.read) for weight in source.values()])

    def blocks(array):
        for start in range(0, array.size, 1000):
            yield array.reshape(-1)[start : start + 1000]

    streamed = Source(
        "streamed",
        [replace(weight, place=None, _blocks=lambda a=arrays[name]: blocks(a)) for name, weight in source.items()],
    )
    expected = scan(source).summaries
    assert scan(computed).summaries == expected
    assert scan(streamed).summaries == expected


def test_sketches_of_weights_stream_too(model, arrays):
    for name, weight in sources.open(model).items():
        assert weight.sketch() == weight.sketch(threads=1) == Sketch.of(arrays[name])


def test_digests_are_those_of_the_weights(model, tmp_path):
    from weightsmith.scan import Cache

    source = sources.open(model)
    found = scan(source, cache=Cache(tmp_path / "cache"))
    assert {summary.name: summary.digest for summary in found.summaries} == {
        name: weight.digest() for name, weight in source.items()
    }
    assert all(summary.digest is None for summary in scan(source).summaries)


def test_many_small_weights_that_lie_side_by_side(tmp_path):
    random = np.random.default_rng(0)
    arrays = {f"b{i}": random.standard_normal(i % 50).astype("f4" if i % 3 else "f2") for i in range(300)}
    write_safetensors(tmp_path / "m.safetensors", arrays)
    found = scan(sources.open(tmp_path / "m.safetensors"), threads=2)
    for name, array in arrays.items():
        assert found.sketches[name] == Sketch.of(array)


def test_what_cannot_be_read_gets_a_reason_and_the_rest_is_scanned():
    def damaged():
        raise SourceError("model.npz: 'b' is damaged:\nits bytes do not match")

    info = WeightInfo("b", (3,), "float32", "bias")
    complex_ = made("c", np.zeros(4, np.complex64))
    short = Weight(replace(info, name="d", shape=(9,)), 36, _blocks=lambda: iter([np.zeros(3, np.float32)]))
    source = Source(
        "model.npz", [made("a", np.ones(3)), Weight(info, 12, damaged), complex_, short, made("e", np.ones(2))]
    )
    found = scan(source)
    assert [summary.name for summary in found.unread] == ["b", "c", "d"]
    reasons = [summary.reason or "" for summary in found.unread]
    assert reasons[0] == "'b' is damaged: its bytes do not match"
    assert "complex64" in reasons[1]
    assert "does not hold the 9 values" in reasons[2]
    assert found.sketches["a"].sum == 3
    assert found.sketches["e"].sum == 2
    assert totals(found).unread == 3


def test_a_file_that_shrinks_meanwhile_is_a_reason(tmp_path):
    path = tmp_path / "m.safetensors"
    write_safetensors(path, {"a": np.ones(100, np.float32), "b": np.ones(5_000_000, np.float32)})
    source = sources.open(path)
    with path.open("r+b") as file:
        file.truncate(10_000)
    found = scan(source)
    assert found.sketches["a"].sum == 100
    (lost,) = found.unread
    assert lost.name == "b"
    assert "became shorter" in (lost.reason or "")


def test_tied_weights_are_listed_but_counted_once():
    reads = []
    array = np.arange(6, dtype=np.float32)

    def read():
        reads.append(1)
        return array

    info = WeightInfo("embed", (6,), "float32", "embedding")
    tied = replace(info, name="head", tied_to="embed")
    view = replace(info, name="view", shape=(2, 3), tied_to="embed")
    source = Source(
        "m", [Weight(info, 24, read), Weight(tied, 24, read), made("view", array.reshape(2, 3), tied_to="embed")]
    )
    assert first_of_tied(source) == {1: 0}
    assert view.tied_to == "embed"
    found = scan(source)
    assert len(reads) == 1
    assert found.summaries[1].sketch == found.summaries[0].sketch
    assert found.summaries[1].info.name == "head"
    assert (totals(found).tensors, totals(found).elements, totals(found).bytes) == (3, 6, 24)


def test_a_weight_without_a_name_is_not_what_others_are_tied_to():
    arrays = {"": np.zeros(6, np.float32), "a": np.ones(6, np.float32), "b": np.full(6, 2, np.float32)}
    source = Source("m", [made(name, array) for name, array in arrays.items()])
    assert first_of_tied(source) == {}
    assert [summary.sketch.mean for summary in scan(source).summaries] == [0, 1, 2]


def test_progress_reaches_the_end_one_call_at_a_time(model):
    busy = threading.Lock()
    steps = []

    def progress(done, total, name):
        assert busy.acquire(blocking=False)
        steps.append((done, total, name))
        busy.release()

    source = sources.open(model)
    scan(source, threads=4, progress=progress)
    size = sum(weight.nbytes for weight in source.values())
    assert [done for done, _, _ in steps] == sorted(done for done, _, _ in steps)
    assert steps[-1][:2] == (size, size)
    assert {name for _, _, name in steps} <= set(source)


def test_an_unknown_executor_is_refused(model):
    with pytest.raises(InputError, match=r"unknown executor 'thread'.*did you mean 'threads'"):
        scan(sources.open(model), executor="thread")


def test_packed_types_need_no_more_bits_than_they_take():
    array = np.random.default_rng(0).standard_normal(64).astype(np.float32)
    packed = Weight(WeightInfo("w", (64,), "q4_k", "linear"), 36, _blocks=lambda: iter([array]))
    assert scan(Source("m", [packed])).summaries[0].effective_bits == 4.5


def test_a_live_module_is_scanned():
    from torch import nn

    module = nn.Linear(5, 3)
    found = scan(sources.open(module))
    assert found.sketches["weight"] == Sketch.of(module.weight.detach().numpy())


def test_memory_stays_bounded_while_a_large_file_is_read(tmp_path, monkeypatch):
    path = tmp_path / "m.safetensors"
    write_safetensors(path, {"w": np.ones((3000, 4000), np.float32)})
    source = sources.open(path)
    longest = []
    place = source["w"].place
    assert isinstance(place, Place)
    read_into = place.file.read_into

    def watched(start, buffer):
        longest.append(len(buffer))
        read_into(start, buffer)

    monkeypatch.setattr(place.file, "read_into", watched)
    assert scan(source).sketches["w"].sum == 12_000_000
    assert max(longest) <= 2 << 20


def test_a_scan_shows_itself_briefly_and_safely():
    names = ["<b>\x1b[31m", *(f"layer.{i}" for i in range(150))]
    summaries = tuple(Summary(WeightInfo(name, (1,), "float32", "other"), 4, reason="none") for name in names)
    found = Scan("m\n.npz", "npz", summaries)
    assert repr(found) == "<Scan of m\\n.npz: 151 weights, 151 not read, 0.00 s>"
    html = found._repr_html_()
    assert "&lt;b&gt;\\x1b[31m" in html
    assert html.count("<tr>") == 101
    assert "and 51 more" in html


@pytest.mark.parametrize("cached", [False, True])
def test_each_weight_is_told_once_as_soon_as_it_is_known(model, tmp_path, cached):
    import os

    from weightsmith.scan import Cache

    os.utime(model, (1, 1))
    source, cache = sources.open(model), Cache(tmp_path / "scans")
    if cached:
        scan(source, cache=cache)
    told = []
    found = scan(source, cache=cache, each=lambda index, summary: told.append((index, summary)))
    assert found.cached == cached
    assert sorted(index for index, _ in told) == list(range(len(source)))
    assert all(found.summaries[index] == summary for index, summary in told)


def test_tied_and_unreadable_weights_are_told_too():
    array = np.ones((3, 4), np.float32)

    def fail():
        raise InputError("not there")

    broken = Weight(WeightInfo("broken", (2,), "float32", "other"), 8, fail)
    source = Source("tied", [made("first", array), made("second", array, tied_to="first"), broken])
    told = {}
    found = scan(source, each=told.__setitem__)
    assert [told[index] for index in range(3)] == list(found.summaries)
    assert told[2].reason == "not there"


@pytest.mark.parametrize("name", ["each", "progress"])
def test_whoever_is_told_can_end_a_scan(model, name):
    class EnoughError(Exception):
        pass

    def enough(*_):
        raise EnoughError

    with pytest.raises(EnoughError):
        scan(sources.open(model), **{name: enough})
