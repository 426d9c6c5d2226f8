"""The tables of `binary_sweep`: what sixteen patterns of four weights make of four activations."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from weightsmith.kernels.binary_loop import LANES, WORD
from weightsmith.kernels.binary_sweep import TABLES

_floats = ir.VectorType(ir.FloatType(), LANES)


def _spread(builder: Any, number: Any) -> Any:
    """One number in every lane."""
    undefined = ir.Constant(_floats, ir.Undefined)
    one = builder.insert_element(undefined, number, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, undefined, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))


def _emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Products as the dense layer forms them, so that what is no number stays none: 0 times infinity, too."""
    array, at, low, *activations = arguments
    tables = context.make_array(signature.args[0])(context, builder, array)
    clear = _spread(builder, low)
    products = []
    for bit, activation in enumerate(activations):
        pattern = ir.Constant(ir.VectorType(ir.IntType(1), LANES), [i >> bit & 1 for i in range(LANES)])
        weights = builder.select(pattern, ir.Constant(_floats, [1.0] * LANES), clear)
        products.append(builder.fmul(weights, _spread(builder, activation)))
    first, second = (builder.fadd(*products[i : i + 2]) for i in (0, 2))
    place = builder.bitcast(builder.gep(tables.data, [at]), _floats.as_pointer())
    builder.store(builder.fadd(first, second), place, align=4)
    return context.get_dummy_value()


def _typed(typing_context: Any, tables: Any, at: Any, low: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    del typing_context
    return types.void(tables, at, low, a, b, c, d), _emit


fill_table: Any = intrinsic(_typed)
"""`fill_table(tables, at, low, a, b, c, d)`: the sums of four float32 activations at `tables[at:at + 16]`.

Bit i of a pattern is the weight of activation i: 1 where set, else `low` (-1 or 0).
"""


@njit(nogil=True, cache=True)
def fill_row(tables: NDArray[np.float32], at: int, low: np.float32, values: NDArray[np.float32]) -> None:
    """Tables for consecutive activations, as many as whole words need; those behind the last are of zeros.

    Args:
        tables: float32, written to from `at` on.
        at: where the first table goes.
        low: weight of a clear bit, -1 or 0.
        values: float32[n].
    """
    whole = values.size // 4
    for i in range(whole):
        fill_table(tables, at + i * LANES, low, values[4 * i], values[4 * i + 1], values[4 * i + 2], values[4 * i + 3])
    rest = np.zeros(4, np.float32)
    rest[: values.size - 4 * whole] = values[4 * whole :]
    for i in range(whole, -(-values.size // WORD) * TABLES):
        fill_table(tables, at + i * LANES, low, rest[0], rest[1], rest[2], rest[3])
        rest[:] = 0


@njit(nogil=True, cache=True)
def aligned(count: int) -> NDArray[np.float32]:
    """float32[count], not initialized, at a multiple of 64 bytes: no vector of it crosses a line of the cache."""
    room = np.empty(count + LANES, np.float32)
    skip = (LANES - (np.int64(room.ctypes.data) // 4) % LANES) % LANES
    return room[skip : skip + count]
