"""Pickles read as plain data: an interpreter of the opcodes that imports, calls and constructs nothing.

Python's own unpickler runs whatever a pickle asks for, and even a restricted one allocates what a pickle claims. Here a
global is looked up in a literal table of stand-ins, everything else is refused by name, and all that a pickle can make
is dictionaries, lists, tuples, text, numbers and what those stand-ins return. Work and memory are proportional to the
bytes that are really there.
"""

import io
import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from weightsmith.errors import SourceError
from weightsmith.names import printable
from weightsmith.sources.file import File, Stream

PICKLE_LIMIT: Final = 256 << 20
"""Longest pickle in bytes that is read; real ones take some 200 bytes a tensor."""

_STEPS: Final = 5_000_000
"""Most opcodes; 100 000 tensors take some 4 million, and each costs at most some 64 bytes."""

_COPIED: Final = 256 << 20
"""Most bytes that stand-ins may be given in all; each may copy them, and a pickle can pass the same ones repeatedly."""

_LINE: Final = 1 << 16
"""Longest line of a text opcode."""

_MODULES: Final = {"__builtin__": "builtins", "copy_reg": "copyreg"}
"""Python 2's names."""


class PickleError(SourceError):
    """A pickle that cannot be read, said without the name of the file, which `unpickle` adds."""


@dataclass(frozen=True)
class Global:
    """The stand-in of a class or function that pickles may name.

    Attributes:
        name: its full name, `torch._utils._rebuild_tensor_v2`.
        build: what is done instead of calling it with a tuple of arguments. It must be safe whatever they are, and
            raises PickleError, TypeError, ValueError, IndexError or AttributeError where they make no sense.
    """

    name: str
    build: Callable[[tuple[Any, ...]], Any]


class Opaque:
    """A value of no interest: only what it was is remembered.

    Args:
        kind: full name of its class.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind


class Fields(dict[Any, Any]):
    """An object that is known by its attributes alone."""

    def set_state(self, state: object) -> None:
        """Take the attributes that an unpickler would set."""
        if isinstance(state, dict):
            self.update(state)


class Bounded(io.BufferedReader):
    """A file as a stream for pickles: refuses to allocate what the file does not have.

    Args:
        file: the file.
    """

    def __init__(self, file: File) -> None:
        super().__init__(Stream(file), 1 << 16)
        self._left = file.size

    def read(self, size: int | None = -1) -> bytes:
        """Bytes from the position on; a length beyond the end is an error before anything is allocated."""
        if size is None or not 0 <= size <= min(PICKLE_LIMIT, self._left - self.tell()):
            raise PickleError(f"the pickle claims {size} bytes where {self._left - self.tell()} are left: truncated")
        return super().read(size)

    def readline(self, size: int | None = -1) -> bytes:
        """A line of at most 64 KiB."""
        return super().readline(_LINE)


def unpickle(
    stream: io.BytesIO | Bounded,
    label: str,
    known: Callable[[str], Global | None],
    persistent: Callable[[Any], Any] | None = None,
) -> Any:
    """The value of the pickle at the stream's position, which ends up behind it.

    Args:
        stream: where the pickle starts.
        label: name of the file, for messages.
        known: gives the stand-in for a full name (`collections.OrderedDict`), or None where there is none.
        persistent: turns a persistent id into a value; it may raise what `Global.build` may.

    Raises:
        SourceError: the pickle is malformed, truncated, too large, or names a class or function without a stand-in.
    """
    start = stream.tell()
    machine = _Machine(known, persistent)
    try:
        for count, (opcode, argument, position) in enumerate(pickletools.genops(stream)):
            if count > _STEPS or (position or 0) - start > PICKLE_LIMIT:
                raise PickleError(f"the pickle is longer than {_STEPS} steps or {PICKLE_LIMIT} bytes")
            step = _STEPS_OF.get(opcode.name)
            if step is None:
                raise PickleError(f"the pickle uses {opcode.name}, which no checkpoint needs")
            step(machine, argument)
        return machine.stack.pop()
    except PickleError as error:
        raise SourceError(f"{printable(label)}: {error}") from None
    except SourceError:  # of the file
        raise
    except (ValueError, IndexError, TypeError, AttributeError, KeyError, OverflowError, Warning) as error:
        # a Warning: of invalid escapes in text of protocol 0, where a test run turns warnings into errors
        raise SourceError(f"{printable(label)}: the pickle is damaged ({printable(str(error)[:200])})") from None


class _Machine:
    """The unpickler's stack, marks and memo."""

    def __init__(self, known: Callable[[str], Global | None], persistent: Callable[[Any], Any] | None) -> None:
        self.stack: list[Any] = []
        self.outer: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.known = known
        self.persistent = persistent
        self.copied = 0

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def mark(self, _: object) -> None:
        self.outer.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.outer.pop()
        return items

    def pop(self, _: object) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.since_mark()

    def put(self, index: int) -> None:
        if not 0 <= index < 1 << 32:  # keys of thousands of digits could be chosen to collide
            raise PickleError("the pickle numbers its values beyond 32 bits")
        self.memo[index] = self.stack[-1]

    def global_named(self, module: object, name: object) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise PickleError("the pickle names a class by something that is no text")
        full = f"{_MODULES.get(module, module)}.{name}"
        found = self.known(full)
        if found is None:
            raise PickleError(
                f"holds '{printable(full[:200])}', which is code and is never run: where it is known, save the weights "
                "alone with torch.save(model.state_dict(), 'weights.pt')"
            )
        self.push(found)

    def charge(self, values: tuple[Any, ...]) -> None:
        self.copied += sum(_length(value) for value in values)
        if self.copied > _COPIED:
            raise PickleError(f"the pickle copies more than {_COPIED} bytes")

    def call(self, function: Any, arguments: Any) -> None:
        if not isinstance(function, Global) or not isinstance(arguments, tuple):
            raise PickleError("the pickle calls something that is no function")
        self.charge(arguments)
        try:
            self.push(function.build(arguments))
        except PickleError:
            raise
        except (TypeError, ValueError, IndexError, AttributeError) as error:
            why = printable(str(error)[:200])
            raise PickleError(f"'{function.name}' is given arguments that make no sense ({why})") from None

    def set_items(self, target: Any, flat: list[Any]) -> None:
        if isinstance(target, Opaque):
            return
        if not isinstance(target, dict) or len(flat) % 2:
            raise PickleError("the pickle sets items of something that is no dictionary")
        for key, value in zip(flat[::2], flat[1::2], strict=True):
            target[_key(key)] = value

    def extend(self, target: Any, items: list[Any]) -> None:
        if isinstance(target, list):
            target.extend(items)
        elif not isinstance(target, Opaque):
            raise PickleError("the pickle appends to something that is no list")

    def persist(self, identity: Any) -> None:
        if self.persistent is None:
            raise PickleError("the pickle refers to something outside of it")
        self.push(self.persistent(identity))


def pairs(value: Any) -> dict[Any, Any]:
    """A dictionary from the list of key-value pairs that ordered dictionaries of Python 2 are pickled with."""
    return {_key(key): item for key, item in value}


def naturals(value: object) -> tuple[int, ...]:
    """The value as a tuple of natural numbers below 2**62, 64 of them at most.

    Raises:
        PickleError: it is none.
    """
    # bool is an int to Python; more than 64 dimensions is more than PyTorch allows
    fits = isinstance(value, (tuple, list)) and len(value) <= 64
    if not fits or not all(type(number) is int and 0 <= number < 1 << 62 for number in value):  # type: ignore[attr-defined]
        raise PickleError("a shape, stride or offset is no list of natural numbers")
    return tuple(value)  # type: ignore[arg-type]


def _key(key: Any) -> Any:
    """The key, or a stand-in compared by identity where its hash could be expensive, endless or chosen to collide."""
    if key is None or isinstance(key, (str, bytes, bool, float, Global, Opaque)):
        return key
    if isinstance(key, int) and abs(key) < 1 << 60:
        return key
    if isinstance(key, (dict, list)):
        raise PickleError(f"a dictionary has a {type(key).__name__} as a key")
    return Opaque(type(key).__name__)


def _length(value: Any) -> int:
    """Bytes that a copy of a value may take."""
    if isinstance(value, (str, bytes)):
        return len(value)
    return 64 * len(value) if isinstance(value, (list, tuple, dict)) else 0


def _bytestring(machine: _Machine, text: str) -> None:
    """Python 2's `str`: text where it is ASCII, otherwise bytes (the values of NumPy arrays)."""
    machine.push(text if text.isascii() else text.encode("latin-1"))


def _global(machine: _Machine, both: str) -> None:
    module, _, name = both.partition(" ")
    machine.global_named(module, name)


def _stack_global(machine: _Machine, _: object) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    machine.global_named(module, name)


def _reduce(machine: _Machine, _: object) -> None:
    arguments, function = machine.stack.pop(), machine.stack.pop()
    machine.call(function, arguments)


def _newobj_ex(machine: _Machine, _: object) -> None:
    named = machine.stack.pop()
    if not isinstance(named, dict):
        raise PickleError("the pickle constructs an object with named arguments that are none")
    _reduce(machine, None)


def _obj(machine: _Machine, _: object) -> None:
    function, *arguments = machine.since_mark()
    machine.call(function, tuple(arguments))


def _inst(machine: _Machine, both: str) -> None:
    arguments = tuple(machine.since_mark())
    _global(machine, both)
    machine.call(machine.stack.pop(), arguments)


def _build(machine: _Machine, _: object) -> None:
    state, target = machine.stack.pop(), machine.stack[-1]
    if hasattr(target, "set_state"):  # of our own stand-ins; whatever else a state would set is of no interest
        machine.charge(state if isinstance(state, tuple) else (state,))
        target.set_state(state)


def _pop_tuple(count: int) -> Callable[[_Machine, Any], None]:
    def step(machine: _Machine, _: object) -> None:
        items = tuple(machine.stack[-count:])
        if len(items) < count:
            raise PickleError("the pickle's stack is too short")
        del machine.stack[-count:]
        machine.push(items)

    return step


def _setitem(machine: _Machine, _: object) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    machine.set_items(machine.stack[-1], [key, value])


def _setitems(machine: _Machine, _: object) -> None:
    items = machine.since_mark()
    machine.set_items(machine.stack[-1], items)


def _append(machine: _Machine, _: object) -> None:
    item = machine.stack.pop()
    machine.extend(machine.stack[-1], [item])


def _extend(machine: _Machine, _: object) -> None:
    items = machine.since_mark()
    machine.extend(machine.stack[-1], items)


def _dict(machine: _Machine, _: object) -> None:
    items = machine.since_mark()
    machine.push({})
    machine.set_items(machine.stack[-1], items)


def _push(machine: _Machine, value: Any) -> None:
    machine.push(value)


def _nothing(machine: _Machine, _: object) -> None:
    """Says how the pickle was written; nothing follows from it."""


def _pop_mark(machine: _Machine, _: object) -> None:
    machine.since_mark()


def _memoize(machine: _Machine, _: object) -> None:
    machine.put(len(machine.memo))


_Step = Callable[[_Machine, Any], None]

# Sets are lists here: nothing is hashed that need not be.
_STEPS_OF: Final[Mapping[str, _Step]] = {
    **dict.fromkeys(("PROTO", "FRAME", "STOP", "READONLY_BUFFER"), _nothing),
    **dict.fromkeys(("INT", "LONG", "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "FLOAT", "BINFLOAT"), _push),
    **dict.fromkeys(("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"), _push),
    **dict.fromkeys(("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"), _push),
    "BYTEARRAY8": lambda machine, data: machine.push(bytes(data)),
    **dict.fromkeys(("STRING", "BINSTRING", "SHORT_BINSTRING"), _bytestring),
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_SET": lambda machine, _: machine.push([]),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "LIST": lambda machine, _: machine.push(machine.since_mark()),
    "FROZENSET": lambda machine, _: machine.push(machine.since_mark()),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.since_mark())),
    "TUPLE1": _pop_tuple(1),
    "TUPLE2": _pop_tuple(2),
    "TUPLE3": _pop_tuple(3),
    "DICT": _dict,
    "APPEND": _append,
    "APPENDS": _extend,
    "ADDITEMS": _extend,
    "SETITEM": _setitem,
    "SETITEMS": _setitems,
    "MARK": _Machine.mark,
    "POP": _Machine.pop,
    "POP_MARK": _pop_mark,
    "DUP": lambda machine, _: machine.push(machine.stack[-1]),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Machine.put),
    "MEMOIZE": _memoize,
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda machine, index: machine.push(machine.memo[index])),
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _reduce,
    "NEWOBJ": _reduce,
    "NEWOBJ_EX": _newobj_ex,
    "OBJ": _obj,
    "INST": _inst,
    "BUILD": _build,
    "PERSID": _Machine.persist,
    "BINPERSID": lambda machine, _: machine.persist(machine.stack.pop()),
}
