import importlib.util
import json
import shutil
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import weightsmith.sources as sources
from weightsmith.errors import MissingExtraError, SourceError
from weightsmith.scan import executors, scan
from weightsmith.scan.executors import Handle, _Task, _understood
from weightsmith.scan.table import rows
from weightsmith.scan.units import plan
from weightsmith.sources import LocalFile, Source, Weight
from weightsmith.weight import WeightInfo


def same(path, executor):
    source = sources.open(path)
    expected = scan(source, threads=1)
    found = scan(source, threads=2, executor=executor)
    assert found.summaries == expected.summaries
    assert json.dumps(rows(found.summaries)) == json.dumps(rows(expected.summaries))


@pytest.fixture(scope="module")
def sharded(arrays, tmp_path_factory):
    """The same weights in two files and an index."""
    folder = tmp_path_factory.mktemp("sharded")
    names = list(arrays)
    index = {}
    for number, part in enumerate((names[:2], names[2:]), 1):
        file = f"model-{number:05}-of-00002.safetensors"
        sources.write_safetensors(folder / file, {name: arrays[name] for name in part})
        index.update(dict.fromkeys(part, file))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    return folder


def test_processes_give_the_same_table(model, sharded):
    same(model, "processes")
    same(sharded, "processes")


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed")
def test_ray_gives_the_same_table(model):
    # In a process of its own: Ray leaves threads and sockets behind that later tests would be blamed for.
    code = f"""
        import json
        import weightsmith.sources as sources
        from weightsmith.scan import scan
        from weightsmith.scan.table import rows
        source = sources.open({str(model)!r})
        expected, found = scan(source), scan(source, threads=2, executor="ray")
        assert found.summaries == expected.summaries
        assert json.dumps(rows(found.summaries)) == json.dumps(rows(expected.summaries))
        print("same")
    """
    ran = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=200)
    assert ran.stdout.splitlines()[-1:] == ["same"], ran.stderr


def test_without_ray_the_extra_is_named(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"weightsmith\[ray\]"):
        scan(sources.open(model), executor="ray")


def test_units_cut_large_weights_and_join_small_ones(model, arrays):
    weights = list(enumerate(sources.open(model).values()))
    _, units = plan(weights)
    seen = {}
    for unit in units:
        assert unit.nbytes <= 16 << 20
        for piece in unit.pieces:
            assert piece.start == seen.get(piece.index, 0)
            seen[piece.index] = piece.stop
    assert seen == {index: weight.size for index, weight in weights}
    assert any(len(unit.pieces) > 1 for unit in units)
    large = list(sources.open(model)).index("embed.weight")
    assert sum(unit.pieces[0].index == large for unit in units) == 2


def test_a_worker_that_does_not_see_the_file_says_so_in_one_line(model, tmp_path):
    copy = tmp_path / "gone.safetensors"
    shutil.copy(model, copy)
    source = sources.open(copy)
    files, units = plan(list(enumerate(source.values())))
    handle = Handle.of(files[0])
    assert handle is not None
    copy.unlink()
    executors._opened.cache_clear()
    answer = _Task({0: handle}, tuple(units), False).run()
    assert isinstance(answer, str)
    with pytest.raises(
        SourceError, match=r"a worker on .* cannot read .*gone.safetensors.*every machine sees"
    ) as caught:
        _understood(answer)
    assert "\n" not in str(caught.value)
    copy.write_bytes(b"short")
    assert "has 5 bytes there instead of" in str(_Task({0: handle}, tuple(units), False).run())


def test_processes_pass_that_line_on(model, tmp_path, monkeypatch):
    monkeypatch.setattr(executors.Handle, "of", classmethod(lambda cls, file: cls(str(tmp_path / "no"), file.size)))
    with pytest.raises(SourceError, match="a worker on"):
        scan(sources.open(model), executor="processes", threads=1)


def test_what_no_other_process_can_open_is_counted_here(model):
    class Private:
        def __init__(self, file):
            self.file, self.label, self.size = file, "inside of something", file.size

        def read_into(self, start, buffer):
            self.file.read_into(start, buffer)

    source = sources.open(model)
    private = Private(LocalFile(model))
    assert Handle.of(private) is None
    moved = [
        Weight(w.info, w.nbytes, place=sources.Place(private, w.place.offset, w.place.dtype)) for w in source.values()
    ]
    computed = Weight(WeightInfo("extra", (3,), "float32", "bias"), 12, lambda: np.ones(3, np.float32))
    found = scan(Source("private", [*moved, computed]), executor="processes", threads=1)
    assert found.summaries[:-1] == scan(source).summaries
    assert found.sketches["extra"].sum == 3


DYING = """
import time
from weightsmith.scan.executors import _die_of_interrupts
_die_of_interrupts()
time.sleep(60)
"""


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="no signal masks here")
def test_processes_start_deaf_to_ctrl_c_and_then_die_of_it_in_silence():
    def held():
        return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])

    with executors._interrupts_held():
        assert held()
        process = subprocess.Popen([sys.executable, "-c", DYING], stderr=subprocess.PIPE)
    assert not held()
    process.send_signal(signal.SIGINT)  # while it still imports
    assert process.communicate(timeout=60) == (None, b"")
    assert process.returncode == -signal.SIGINT
