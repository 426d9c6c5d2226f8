"""Words in memory that threads share, and what threads wait with, for compiled code: atomic, in one order for all."""

import os
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic

_ORDER = "seq_cst"
_TRIPLE: str = cpu_target.target_context.codegen().magic_tuple()[0]

_PAIR: Any = types.UniTuple(types.int64, 2)  # type: ignore[no-untyped-call]

_whole = ir.IntType(64)
_byte = ir.IntType(8).as_pointer()


def _place(context: Any, builder: Any, signature: Any, arguments: Any, which: int = 1) -> Any:
    words = context.make_array(signature.args[0])(context, builder, arguments[0])
    return builder.gep(words.data, [arguments[which]])


def _emit_load(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return builder.load_atomic(_place(context, builder, signature, arguments), _ORDER, 8)


def _type_load(typing: Any, words: Any, at: Any) -> Any:
    del typing, at
    return types.int64(words, types.int64), _emit_load


load: Any = intrinsic(_type_load)
"""`load(words, at)`: a word of an int64 array."""


def _changing(operation: str) -> Any:
    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.atomic_rmw(operation, _place(context, builder, signature, arguments), arguments[2], _ORDER)

    def typed(typing: Any, words: Any, at: Any, value: Any) -> Any:
        del typing, at, value
        return types.int64(words, types.int64, types.int64), emit

    return intrinsic(typed)


add: Any = _changing("add")
"""`add(words, at, value)`: add to a word; what it was."""

swap: Any = _changing("xchg")
"""`swap(words, at, value)`: replace a word; what it was."""


def _emit_pause(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    del signature, arguments
    if _TRIPLE.startswith(("x86_64", "i686", "i386")):
        kind = ir.FunctionType(ir.VoidType(), [])
        builder.call(builder.module.declare_intrinsic("llvm.x86.sse2.pause", (), kind), [])
    elif _TRIPLE.startswith(("aarch64", "arm64")):
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(32)])
        hint = builder.module.declare_intrinsic("llvm.aarch64.hint", (), kind)
        builder.call(hint, [ir.Constant(ir.IntType(32), 1)])
    return context.get_dummy_value()


def _type_pause(typing: Any) -> Any:
    del typing
    return types.void(), _emit_pause


pause: Any = intrinsic(_type_pause)
"""Tell the processor that this is a loop that waits."""


def _system(builder: Any, name: str, places: list[Any]) -> None:
    """Call a function of the C library with addresses; nothing where there are no POSIX threads."""
    if os.name == "posix":
        kind = ir.FunctionType(ir.IntType(32), [_byte] * len(places))
        function = cgutils.get_or_insert_function(builder.module, kind, name)  # type: ignore[no-untyped-call]
        builder.call(function, [builder.bitcast(place, _byte) for place in places])


def _on_word(name: str) -> Any:
    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _system(builder, name, [_place(context, builder, signature, arguments)])
        return context.get_dummy_value()

    def typed(typing: Any, words: Any, at: Any) -> Any:
        del typing, at
        return types.void(words, types.int64), emit

    return intrinsic(typed)


lock: Any = _on_word("pthread_mutex_lock")
unlock: Any = _on_word("pthread_mutex_unlock")
wake_all: Any = _on_word("pthread_cond_broadcast")


def _emit_sleep(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    places = [_place(context, builder, signature, arguments, which) for which in (1, 2)]
    _system(builder, "pthread_cond_wait", places)
    return context.get_dummy_value()


def _type_sleep(typing: Any, words: Any, condition: Any, mutex: Any) -> Any:
    del typing, condition, mutex
    return types.void(words, types.int64, types.int64), _emit_sleep


sleep: Any = intrinsic(_type_sleep)
"""`sleep(words, condition, mutex)`: until `wake_all`, with the mutex given up meanwhile."""


def _emit_let_others(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    del signature, arguments
    _system(builder, "sched_yield", [])
    return context.get_dummy_value()


def _type_let_others(typing: Any) -> Any:
    del typing
    return types.void(), _emit_let_others


let_others: Any = intrinsic(_type_let_others)
"""Let other threads that want this processor have it."""


def task_of(function: Any) -> Any:
    """An intrinsic `task(arguments)` for a compiled `function(arguments, part)`, a tuple and a number.

    It gives two addresses for `call`, which hold as long as the function that asks for them runs. The compiled function
    is bound here: as an argument it would be an address of this process, in code that could not be cached.
    """

    def typed(typing: Any, arguments: Any) -> Any:
        inner = types.Dispatcher(function).get_call_type(typing, (arguments, types.int64), {})

        def emit(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            entry = _entry(context, builder, function.get_compile_result(inner), inner)
            place = cgutils.alloca_once_value(builder, given[0])  # type: ignore[no-untyped-call]
            addresses = [builder.ptrtoint(address, _whole) for address in (entry, place)]
            return context.make_tuple(builder, signature.return_type, addresses)

        return _PAIR(arguments), emit

    return intrinsic(typed)


def _entry(context: Any, builder: Any, compiled: Any, inner: Any) -> Any:
    """A function of C that calls a compiled one with the tuple at an address and with a number; 1 where that raised."""
    context.add_linking_libs([compiled.library])
    name = builder.module.get_unique_name(f"{builder.function.name}.task")
    entry = ir.Function(builder.module, ir.FunctionType(_whole, [_byte, _whole]), name)
    entry.linkage = "internal"
    inside = ir.IRBuilder(entry.append_basic_block())
    kind = context.get_value_type(inner.args[0])
    values = inside.load(inside.bitcast(entry.args[0], kind.as_pointer()))
    status, _ = context.call_internal_no_propagate(inside, compiled.fndesc, inner, [values, entry.args[1]])
    inside.ret(inside.zext(status.is_error, _whole))
    return entry


def _emit_call(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    del context, signature
    entry, place, part = arguments
    kind = ir.FunctionType(_whole, [_byte, _whole]).as_pointer()
    return builder.call(builder.inttoptr(entry, kind), [builder.inttoptr(place, _byte), part])


def _type_call(typing: Any, entry: Any, place: Any, part: Any) -> Any:
    del typing, entry, place, part
    return types.int64(types.int64, types.int64, types.int64), _emit_call


call: Any = intrinsic(_type_call)
"""`call(entry, place, part)`: `function(arguments, part)` in any thread; 1 where it raised, else 0."""
