import argparse
import collections
import contextlib
import datetime
import io
import itertools
import os
import pickle
import struct
import sys
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightsmith.errors import SourceError
from weightsmith.sources.file import LocalFile
from weightsmith.sources.torch_objects import KNOWN
from weightsmith.sources.unpickling import Bounded, Fields, Global, Opaque, unpickle

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
keys = st.text() | st.integers(-(2**59), 2**59) | st.booleans() | st.none()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.dictionaries(keys, inner) | st.lists(inner).map(tuple),
    max_leaves=20,
)


def read(data: bytes, persistent=None):
    return unpickle(io.BytesIO(data), "a.pt", KNOWN.get, persistent)


def refused(data: bytes, words: str | None = None) -> str:
    with pytest.raises(SourceError, match=words) as caught:
        read(data)
    message = str(caught.value)
    assert message.startswith("a.pt: ")
    assert message.isprintable()
    return message


@given(value=values, protocol=st.sampled_from(PROTOCOLS))
def test_plain_values_are_read_as_pickle_reads_them(value, protocol):
    assert read(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_collections(protocol):
    ordered = collections.OrderedDict([("b", 1), ("a", [2])])
    assert list(read(pickle.dumps(ordered, protocol)).items()) == [("b", 1), ("a", [2])]
    assert sorted(read(pickle.dumps({1, 2, 3}, protocol))) == [1, 2, 3]
    assert sorted(read(pickle.dumps(frozenset([1, 2]), protocol))) == [1, 2]
    assert read(pickle.dumps(collections.deque([1, 2]), protocol)) == [1, 2]
    assert read(pickle.dumps(collections.defaultdict(list, {"a": [1]}), protocol)) == {"a": [1]}
    assert read(pickle.dumps(collections.Counter("aab"), protocol)) == {"a": 2, "b": 1}
    assert read(pickle.dumps(bytearray(b"\xff\x00"), protocol)) == b"\xff\x00"
    assert read(pickle.dumps(Path("a") / "b", protocol)) == "a/b"


def test_python_2s_ordered_dictionaries_and_text():
    raw = b"\x80\x02ccollections\nOrderedDict\nq\x00]q\x01(]q\x02(U\x01aK\x01e]q\x03(U\x02\xff\xfeK\x02ee\x85Rq\x04."
    assert read(raw) == {"a": 1, b"\xff\xfe": 2}


def test_values_that_are_shared_stay_shared_and_cycles_close():
    shared = [1]
    first, second = read(pickle.dumps([shared, shared]))
    assert first is second
    loop = {}
    loop["self"] = loop
    found = read(pickle.dumps(loop))
    assert found["self"] is found


def test_namespaces_are_their_attributes():
    found = read(pickle.dumps(argparse.Namespace(lr=0.1, layers=[3])))
    assert isinstance(found, Fields)
    assert found == {"lr": 0.1, "layers": [3]}


def test_what_is_known_and_of_no_interest_is_opaque():
    found = read(pickle.dumps([datetime.date(2020, 1, 1), uuid.UUID(int=3)]))
    assert [value.kind for value in found] == ["datetime.date", "uuid.UUID"]


HARMFUL = {
    "reduce": b"cos\nsystem\n(S'touch hit'\ntR.",
    "python 2 name": b"cposix\nsystem\n(S'touch hit'\ntR.",
    "inst": b"(S'touch hit'\nios\nsystem\n.",
    "obj": b"(cos\nsystem\nS'touch hit'\no.",
    "newobj": b"\x80\x02cos\nsystem\n(X\x09\x00\x00\x00touch hitt\x81.",
    "newobj_ex": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x09touch hit\x85}\x92.",
    "stack_global": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x09touch hit\x85R.",
    "getattr": b"\x80\x04\x8c\x08builtins\x8c\x07getattr\x93.",
    "getattr of python 2": b"c__builtin__\ngetattr\n.",
    "eval": b'c__builtin__\neval\n(S\'open("hit", "w")\'\ntR.',
    "exec": b'cbuiltins\nexec\n(S\'open("hit", "w")\'\ntR.',
    "dotted name": b"\x80\x04\x8c\x0bcollections\x8c\x18OrderedDict.__init_subclass__\x93.",
    "hub": b"ctorch.hub\nload\n(S'x'\nS'y'\ntR.",
    "torch.load": b"ctorch\nload\n(S'x'\ntR.",
    "import": b"c__builtin__\n__import__\n(S'this'\ntR.",
    "numpy's own": b"cnumpy\nload\n(S'x'\ntR.",
    "subprocess": b"csubprocess\nPopen\n(S'touch hit'\ntR.",
    "build": b"ccollections\nOrderedDict\n)R(dS'__reduce__'\ncos\nsystem\nsb.",
    "extension": b"\x80\x02\x82\x01.",
    "extension 2": b"\x80\x02\x83\x01\x00.",
    "extension 4": b"\x80\x02\x84\x01\x00\x00\x00.",
}


@pytest.mark.parametrize("name", HARMFUL)
def test_nothing_harmful_is_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "system", lambda command: Path("hit").touch())
    before = set(sys.modules)
    refused(HARMFUL[name])
    assert list(tmp_path.glob("hit")) == []
    assert "this" not in set(sys.modules) - before


def test_the_message_names_what_was_refused_and_how_to_convert():
    message = refused(HARMFUL["reduce"])
    assert "'os.system'" in message
    assert "torch.save(model.state_dict(), 'weights.pt')" in message
    assert "\\x1b" in refused(b"\x80\x04\x8c\x02\x1b[\x8c\x01b\x93.")


def test_every_stand_in_is_safe_with_any_arguments():
    others = [None, True, -1, 10**30, 1.5, "x", b"x", [], {}, (), [1], (1, 2), {"a": 1}, Opaque("a.B"), *KNOWN.values()]
    for known in KNOWN.values():
        for value, count in itertools.product(others, range(9)):
            with contextlib.suppress(SourceError, TypeError, ValueError, IndexError, AttributeError):
                known.build((value,) * count)


def read_or_refused(data: bytes) -> None:
    """Nothing but a value or a message of one line."""
    try:
        read(data)
    except SourceError as error:
        message = str(error)
    else:
        return
    assert message.isprintable()


def test_wrong_arguments_and_states_make_one_line():
    arguments = (b"(t", b"(Nt", b"(I1\n" + b"N" * 6 + b"t", b"(]" + b"]" * 6 + b"t", b"]")
    states = (b"", b"Nb", b"I1\nb", b"(db", b"(I1\nI2\nI3\nI4\nI5\ntb")
    for full, passed, state in itertools.product(KNOWN, arguments, states):
        module, _, name = full.rpartition(".")
        start = b"c" + module.encode() + b"\n" + name.encode() + b"\n"
        read_or_refused(start + passed + b"R" + state + b".")


LIES = {
    "long4": b"\x80\x02\x8b\xff\xff\xff\x7f\x01.",
    "negative long4": b"\x80\x02\x8b\xff\xff\xff\xff\x01.",
    "binunicode": b"\x80\x02X\xff\xff\xff\x7fa.",
    "binunicode8": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 62) + b"a.",
    "binunicode8 beyond": b"\x80\x04\x8d" + struct.pack("<Q", (1 << 64) - 1) + b"a.",
    "binbytes": b"\x80\x03B\xff\xff\xff\xffa.",
    "binbytes8": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b"a.",
    "bytearray8": b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b"a.",
    "binstring": b"T\xff\xff\xff\x7fa.",
    "out of band": b"\x80\x05\x97.",
    "no stop": b"\x80\x02K\x01",
    "nothing": b"",
    "unknown opcode": b"\xff.",
    "empty stack": b".",
    "pop of nothing": b"0.",
    "mark of nothing": b"t.",
    "get of nothing": b"h\x05.",
    "put of nothing": b"q\x05.",
    "reduce of a number": b"K\x01)R.",
    "reduce of no tuple": b"ccollections\nOrderedDict\nK\x01R.",
    "build of nothing": b"}b.",
    "append to a number": b"K\x01K\x01a.",
    "items of a list": b"]K\x01K\x01s.",
    "odd items": b"}(K\x01u.",
    "list as a key": b"}]K\x01s.",
    "dictionary as a key": b"}}K\x01s.",
    "short tuple": b"K\x01\x87.",
    "number of many digits": b"I" + b"9" * 5000 + b"\n.",
    "memo of many digits": b"Np" + b"9" * 4000 + b"\n.",
    "text that is no text": b"\x80\x02X\x01\x00\x00\x00\xff.",
    "global of numbers": b"\x80\x04K\x01K\x02\x93.",
    "invalid escape": b"S'\\c'\n.",
    "persistent id": b"K\x01Q.",
    "persistent line": b"Px\n.",
    "named arguments that are none": b"\x80\x04ccollections\nOrderedDict\n)K\x01\x92.",
}


@pytest.mark.parametrize("name", LIES)
def test_lies_are_refused(name, tmp_path):
    refused(LIES[name])
    path = tmp_path / "a.pkl"
    path.write_bytes(LIES[name])
    with Bounded(LocalFile(path)) as stream, pytest.raises(SourceError):
        unpickle(stream, "a.pt", KNOWN.get)


def test_a_frame_may_claim_what_it_likes():
    assert read(b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b"K\x01.") == 1


def test_numbers_of_memo_entries_take_no_memory():
    assert read(b"K\x01r\xff\xff\xff\x7f0j\xff\xff\xff\x7f.") == 1  # CPython's own reader would allocate 32 GB


def test_deep_nesting_is_read():
    depth = 200_000
    value = read(b"]" * depth + b"a" * (depth - 1) + b".")
    assert isinstance(value, list)
    value = read(b")" + b"\x85" * depth + b".")
    assert isinstance(value, tuple)


def test_deep_tuples_are_no_keys():
    # hashing this tuple would exhaust the stack of the process
    found = read(b"})" + b"\x85" * 200_000 + b"K\x01s.")
    assert [key.kind for key in found] == ["tuple"]


def test_keys_chosen_to_collide_cost_nothing():
    prime = (1 << 61) - 1
    flat = b"".join(b"\x8a\x0a" + (prime * index).to_bytes(10, "little") + b"N" for index in range(1, 20_000))
    found = read(b"\x80\x02}(" + flat + b"u.")
    assert len(found) == 19_999
    assert not any(isinstance(key, int) for key in found)  # they would share one slot


def test_repeated_copies_are_bounded():
    text = b"X" + struct.pack("<I", 1 << 20) + b"a" * (1 << 20) + b"q\x00"
    start = b"\x80\x02]c_codecs\nencode\nq\x01" + text + b"00"
    refused(start + b"(" + b"h\x01h\x00\x85R" * 1000 + b"e.", "copies more than")


def test_a_pickle_of_too_many_steps_is_refused():
    refused(b"N0" * 2_600_000 + b"N.", "longer than")


def test_a_stream_ends_up_behind_the_pickle():
    stream = io.BytesIO(pickle.dumps([1]) + pickle.dumps([2]) + b"rest")
    assert [unpickle(stream, "a.pt", KNOWN.get) for _ in range(2)] == [[1], [2]]
    assert stream.read() == b"rest"


def test_a_line_without_end_is_not_read_whole(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(b"cos" + b"x" * 1_000_000)
    with Bounded(LocalFile(path)) as stream:
        with pytest.raises(SourceError):
            unpickle(stream, "a.pt", KNOWN.get)
        assert stream.tell() < 100_000


def test_persistent_ids_are_handed_over():
    assert read(b"(X\x01\x00\x00\x00aK\x01tQ.", lambda identity: identity[0]) == "a"
    assert read(b"Pline\n.", lambda identity: identity) == "line"


def test_stand_ins_are_named_as_the_table_says():
    for name, known in KNOWN.items():
        assert isinstance(known, Global)
        assert known.name == name


@given(value=values, protocol=st.sampled_from(PROTOCOLS), data=st.data())
def test_mutations_are_read_or_refused(value, protocol, data):
    raw = bytearray(pickle.dumps(collections.OrderedDict(a=value), protocol))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(0, len(raw) - 1)))
        raw[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    read_or_refused(bytes(raw))
