"""The inner loops of sparse products, in portable LLVM vector operations that no vectorizer finds by itself.

Every loop works on vectors of 16 float32; LLVM splits them where registers hold fewer, and takes gathers and expanding
loads apart where the processor has none. Positions are int64 throughout. Nothing here checks bounds.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 16
"""Values in a vector."""

WIDTHS = (1, 2, 4)
"""Vectors of one row's results that `axpy_rows` can hold in registers."""

WIDEST = max(WIDTHS)

_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_WORDS = ir.VectorType(ir.IntType(32), LANES)
_BOOLS = ir.VectorType(ir.IntType(1), LANES)
_POSITION = ir.IntType(64)
_ZERO = ir.Constant(_FLOATS, [0.0] * LANES)
_FUSED = ("contract",)


def _number(value: int) -> Any:
    return ir.Constant(_POSITION, value)


def _pointers(context: Any, builder: Any, signature: Any, arguments: Any) -> list[Any]:
    """The arguments with every array replaced by the address of its first element."""
    return [
        context.make_array(kind)(context, builder, value).data if isinstance(kind, types.Array) else value
        for kind, value in zip(signature.args, arguments, strict=True)
    ]


def _load(builder: Any, array: Any, position: Any, vector: Any = _FLOATS) -> Any:
    """A vector from any element of an array on."""
    place = builder.bitcast(builder.gep(array, [position]), vector.as_pointer())
    return builder.load(place, align=vector.element.width // 8 if isinstance(vector.element, ir.IntType) else 4)


def _store(builder: Any, value: Any, array: Any, position: Any) -> None:
    builder.store(value, builder.bitcast(builder.gep(array, [position]), value.type.as_pointer()), align=4)


def _splat(builder: Any, value: Any, lanes: int = LANES) -> Any:
    vector = ir.VectorType(value.type, lanes)
    single = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(single, single, ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes))


def _fused(builder: Any, first: Any, second: Any, total: Any) -> Any:
    return builder.fadd(builder.fmul(first, second, flags=_FUSED), total, flags=_FUSED)


def _declared(builder: Any, name: str, result: Any, arguments: list[Any]) -> Any:
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)  # type: ignore[no-untyped-call]


def _slots(builder: Any, count: int) -> list[Any]:
    """Vectors of zeros on the stack; LLVM turns them into registers."""
    return [cgutils.alloca_once_value(builder, _ZERO) for _ in range(count)]  # type: ignore[no-untyped-call]


def _accumulate(builder: Any, slot: Any, first: Any, second: Any | None) -> None:
    """Add first * second, or only first, to what a slot holds."""
    total = builder.load(slot)
    changed = builder.fadd(first, total) if second is None else _fused(builder, first, second, total)
    builder.store(changed, slot)


def _sum(builder: Any, slots: list[Any]) -> Any:
    """Add vectors pairwise, then their halves, down to one number."""
    vectors = [builder.load(slot) for slot in slots]
    while len(vectors) > 1:
        vectors = [
            builder.fadd(*vectors[i : i + 2]) if i + 1 < len(vectors) else vectors[i] for i in range(0, len(vectors), 2)
        ]
    vector, half = vectors[0], LANES // 2
    while half:
        upper = ir.Constant(_WORDS, [(i + half) % LANES for i in range(LANES)])
        vector = builder.fadd(vector, builder.shuffle_vector(vector, vector, upper))
        half //= 2
    return builder.extract_element(vector, ir.Constant(ir.IntType(32), 0))


def _gathered(builder: Any, array: Any, indices: Any, mask: Any) -> Any:
    """array[indices] where the mask is set, else 0."""
    places = ir.instructions.GEPInstr(builder.block, array, [indices], True, "", source_etype=ir.FloatType())
    places.type = ir.VectorType(ir.PointerType(), LANES)  # llvmlite knows no vectors of addresses
    builder._insert(places)
    alignment = ir.Constant(ir.IntType(32), 4)
    return _declared(builder, "llvm.masked.gather.v16f32.v16p0", _FLOATS, [places, alignment, mask, _ZERO])


def _indices(builder: Any, columns: Any, position: Any, mask: Any | None = None) -> Any:
    """16 column indices as 32-bit numbers; where a mask is given, only those that it has are read."""
    kind = columns.type.pointee
    vector = ir.VectorType(kind, LANES)
    if mask is None:
        found = _load(builder, columns, position, vector)
    else:
        place = builder.bitcast(builder.gep(columns, [position]), vector.as_pointer())
        name = f"llvm.masked.load.v16i{kind.width}.p0"
        alignment = ir.Constant(ir.IntType(32), kind.width // 8)
        found = _declared(builder, name, vector, [place, alignment, mask, ir.Constant(vector, [0] * LANES)])
    # Columns are below 2**31, so that widening to signed indices is right.
    return builder.zext(found, _WORDS) if kind.width < 32 else found


def _first_lanes(builder: Any, count: Any) -> Any:
    """A mask of the first `count` lanes, count at most 16."""
    numbers = ir.Constant(_WORDS, list(range(LANES)))
    return builder.icmp_unsigned("<", numbers, _splat(builder, builder.trunc(count, ir.IntType(32))))


_GATHERS = 4


def _emit_gather(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    inputs, origin, columns, values, start, stop = _pointers(context, builder, signature, arguments)
    inputs = builder.gep(inputs, [origin])
    weighted = not isinstance(signature.args[3], types.NoneType)
    slots = _slots(builder, _GATHERS)
    length = builder.sub(stop, start)
    everything = ir.Constant(_BOOLS, [1] * LANES)
    rounds = builder.udiv(length, _number(_GATHERS * LANES))
    with cgutils.for_range(builder, rounds) as loop:
        base = builder.add(start, builder.mul(loop.index, _number(_GATHERS * LANES)))
        for number, slot in enumerate(slots):
            at = builder.add(base, _number(number * LANES))
            found = _gathered(builder, inputs, _indices(builder, columns, at), everything)
            _accumulate(builder, slot, found, _load(builder, values, at) if weighted else None)
    begun = builder.add(start, builder.mul(rounds, _number(_GATHERS * LANES)))
    left = builder.sub(stop, begun)
    vectors = builder.udiv(builder.add(left, _number(LANES - 1)), _number(LANES))
    with cgutils.for_range(builder, vectors) as loop:
        done = builder.mul(loop.index, _number(LANES))
        at = builder.add(begun, done)
        rest = builder.sub(left, done)
        mask = _first_lanes(
            builder, builder.select(builder.icmp_signed("<", rest, _number(LANES)), rest, _number(LANES))
        )
        found = _gathered(builder, inputs, _indices(builder, columns, at, mask), mask)
        second = None
        if weighted:
            place = builder.bitcast(builder.gep(values, [at]), _FLOATS.as_pointer())
            alignment = ir.Constant(ir.IntType(32), 4)
            second = _declared(builder, "llvm.masked.load.v16f32.p0", _FLOATS, [place, alignment, mask, _ZERO])
        _accumulate(builder, slots[0], found, second)
    return _sum(builder, slots)


def _gather_row(typing_context: Any, inputs: Any, origin: Any, columns: Any, values: Any, start: Any, stop: Any) -> Any:
    del typing_context
    return types.float32(inputs, types.int64, columns, values, types.int64, types.int64), _emit_gather


gather_row: Any = intrinsic(_gather_row)
"""Sum of inputs[origin + columns[i]] * values[i] over start <= i < stop; without factors where values is None."""


def _axpy(vectors: int) -> Any:
    """An intrinsic that holds `vectors` * 16 results in registers."""
    sets = 8 // vectors

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        inputs, origin, offsets, columns, values, start, stop, outputs, target = _pointers(
            context, builder, signature, arguments
        )
        inputs = builder.gep(inputs, [origin])
        tabled = isinstance(signature.args[2], types.Array)
        weighted = not isinstance(signature.args[4], types.NoneType)
        slots = _slots(builder, vectors * sets)

        def step(at: Any, held: list[Any]) -> None:
            column = builder.zext(builder.load(builder.gep(columns, [at])), _POSITION)
            if tabled:
                position = builder.zext(builder.load(builder.gep(offsets, [column])), _POSITION)
            else:
                position = builder.mul(column, _number(vectors * LANES))
            factor = _splat(builder, builder.load(builder.gep(values, [at]))) if weighted else None
            for number, slot in enumerate(held):
                place = builder.add(position, _number(number * LANES))
                _accumulate(builder, slot, _load(builder, inputs, place), factor)

        length = builder.sub(stop, start)
        rounds = builder.udiv(length, _number(sets))
        with cgutils.for_range(builder, rounds) as loop:
            base = builder.add(start, builder.mul(loop.index, _number(sets)))
            for number in range(sets):
                step(builder.add(base, _number(number)), slots[number * vectors : (number + 1) * vectors])
        begun = builder.mul(rounds, _number(sets))
        with cgutils.for_range(builder, builder.sub(length, begun)) as loop:
            step(builder.add(builder.add(start, begun), loop.index), slots[:vectors])
        for number in range(vectors):
            total = builder.load(slots[number])
            for other in range(1, sets):
                total = builder.fadd(total, builder.load(slots[other * vectors + number]))
            _store(builder, total, outputs, builder.add(target, _number(number * LANES)))
        return context.get_dummy_value()

    def typed(
        typing_context: Any,
        inputs: Any,
        origin: Any,
        offsets: Any,
        columns: Any,
        values: Any,
        start: Any,
        stop: Any,
        outputs: Any,
        target: Any,
    ) -> Any:
        del typing_context
        whole = types.int64
        return types.void(inputs, whole, offsets, columns, values, whole, whole, outputs, whole), emit

    return intrinsic(typed)


axpy_rows: dict[int, Callable[..., None]] = {vectors: _axpy(vectors) for vectors in WIDTHS}
"""Sum of values[i] * inputs[origin + offset of columns[i]...] over start <= i < stop, into outputs[target...].

The one of v works on v * 16 consecutive inputs and results. Offsets are given by a table or, where that is None, are
columns[i] * v * 16. Values None stands for ones.
"""


def _expand(rows: int) -> Any:
    """An intrinsic for the product of one row of a bitmask with several rows of inputs."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        inputs, origin, pitch, masks, first, words, values, start, outputs, target = _pointers(
            context, builder, signature, arguments
        )
        sets = 4
        slots = _slots(builder, rows * sets)
        cursor = cgutils.alloca_once_value(builder, start)  # type: ignore[no-untyped-call]
        chunk_kind = ir.IntType(LANES)
        chunks = builder.bitcast(builder.gep(masks, [first]), chunk_kind.as_pointer())
        bases = [builder.gep(inputs, [builder.add(origin, builder.mul(pitch, _number(row)))]) for row in range(rows)]
        with cgutils.for_range(builder, words) as loop:
            for number in range(sets):
                chunk = builder.add(builder.mul(loop.index, _number(sets)), _number(number))
                bits = builder.load(builder.gep(chunks, [chunk]), align=2)
                place = builder.gep(values, [builder.load(cursor)])
                mask = builder.bitcast(bits, _BOOLS)
                found = _declared(builder, "llvm.masked.expandload.v16f32", _FLOATS, [place, mask, _ZERO])
                counted = builder.zext(_declared(builder, "llvm.ctpop.i16", chunk_kind, [bits]), _POSITION)
                builder.store(builder.add(builder.load(cursor), counted), cursor)
                for row, base in enumerate(bases):
                    held = _load(builder, base, builder.mul(chunk, _number(LANES)))
                    _accumulate(builder, slots[row * sets + number], held, found)
        for row in range(rows):
            total = _sum(builder, slots[row * sets : (row + 1) * sets])
            builder.store(total, builder.gep(outputs, [builder.add(target, _number(row))]))
        return context.get_dummy_value()

    def typed(
        typing_context: Any,
        inputs: Any,
        origin: Any,
        pitch: Any,
        masks: Any,
        first: Any,
        words: Any,
        values: Any,
        start: Any,
        outputs: Any,
        target: Any,
    ) -> Any:
        del typing_context
        whole = types.int64
        return types.void(inputs, whole, whole, masks, whole, whole, values, whole, outputs, whole), emit

    return intrinsic(typed)


expand_rows: dict[int, Callable[..., None]] = {rows: _expand(rows) for rows in (1, 2, 4)}
"""Products of one row of a bitmask with 1, 2 or 4 rows of inputs (`pitch` apart), into outputs[target...].

The mask is `words` words of 64 bits from masks[first] on, its values begin at values[start], and each row of inputs is
padded to whole words.
"""


def _emit_transpose(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    source, origin, pitch, outputs, target, stride = _pointers(context, builder, signature, arguments)
    rows = [_load(builder, source, builder.add(origin, builder.mul(pitch, _number(row)))) for row in range(LANES)]
    half = LANES // 2
    while half:
        # Exchange the two off-diagonal quarters of every square of 2 * half.
        upper = ir.Constant(_WORDS, [i if not i & half else LANES + i - half for i in range(LANES)])
        lower = ir.Constant(_WORDS, [i + half if not i & half else LANES + i for i in range(LANES)])
        for row in range(LANES):
            if not row & half:
                first, second = rows[row], rows[row + half]
                rows[row] = builder.shuffle_vector(first, second, upper)
                rows[row + half] = builder.shuffle_vector(first, second, lower)
        half //= 2
    for row, vector in enumerate(rows):
        _store(builder, vector, outputs, builder.add(target, builder.mul(stride, _number(row))))
    return context.get_dummy_value()


def _transpose(
    typing_context: Any, source: Any, origin: Any, pitch: Any, outputs: Any, target: Any, stride: Any
) -> Any:
    del typing_context
    whole = types.int64
    return types.void(source, whole, whole, outputs, whole, whole), _emit_transpose


transpose_square: Any = intrinsic(_transpose)
"""Transpose 16 rows of 16 values, `pitch` apart from source[origin] on, to rows `stride` apart from outputs[target]."""


def _emit_list(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    masks, first, words, places, columns, target = _pointers(context, builder, signature, arguments)
    kind = columns.type.pointee
    vector, few = ir.VectorType(kind, 8), ir.VectorType(ir.IntType(8), 8)
    cursor = cgutils.alloca_once_value(builder, target)  # type: ignore[no-untyped-call]
    with cgutils.for_range(builder, words) as loop:
        bits = builder.load(builder.gep(masks, [builder.add(first, loop.index)]))
        base = builder.mul(loop.index, _number(64))
        for byte in range(8):
            part = builder.and_(builder.lshr(bits, _number(8 * byte)), _number(255))
            found = builder.zext(_load(builder, places, builder.mul(part, _number(8)), few), vector)
            low = builder.trunc(builder.add(base, _number(8 * byte)), kind)
            at = builder.load(cursor)
            shifted = builder.add(found, _splat(builder, low, 8))
            builder.store(
                shifted, builder.bitcast(builder.gep(columns, [at]), vector.as_pointer()), align=kind.width // 8
            )
            builder.store(builder.add(at, builder.ctpop(part)), cursor)
    return context.get_dummy_value()


def _list(typing_context: Any, masks: Any, first: Any, words: Any, places: Any, columns: Any, target: Any) -> Any:
    del typing_context
    whole = types.int64
    return types.void(masks, whole, whole, places, columns, whole), _emit_list


list_bits: Any = intrinsic(_list)
"""Numbers of the bits set in `words` words of 64 from masks[first] on, into columns[target...] (uint16 or uint32).

`places` is uint8[256 * 8]: of each byte, the numbers of its set bits, lowest first, then anything. Writes up to 8
elements behind the last column.
"""
