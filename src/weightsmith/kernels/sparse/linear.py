"""Sparse weights times dense activations: y = x W^T + bias."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from weightsmith.errors import InputError
from weightsmith.kernels import choice
from weightsmith.kernels.parallel import map_blocks
from weightsmith.kernels.parallel import threads as default_threads
from weightsmith.kernels.sparse import plain
from weightsmith.kernels.sparse.forms import WORD, Bitmask, Csr, Signs, SparseWeight, column_dtype
from weightsmith.kernels.sparse.rows import (
    expand_mask,
    fill_panels,
    finite,
    gather_rows,
    list_columns,
    multiply_panel,
)
from weightsmith.kernels.sparse.team import gather_together, panels_together
from weightsmith.kernels.sparse.vectors import LANES, WIDEST, WIDTHS
from weightsmith.kernels.team import SHORT, team

Floats = NDArray[np.float32]

_GATHERED = 2.4
"""Most activations that are multiplied one by one: with more, 16 at once are as cheap."""

_SETTING_UP = 40_000
"""What it costs to make panels for 16 at once, in nonzeros multiplied one by one."""

_ROW = 40
"""What a row costs by itself, in the same measure."""

_EXPANDED = 8
"""The same for a bitmask, which serves four at once."""

_PANEL_BYTES = 1 << 19
"""Activations worked on at a time: a quarter of a second-level cache, as the weights pass through it too."""

_LISTED = 64
"""Rows of a bitmask whose columns are listed at a time."""

_ALONE = 300_000
"""Nanoseconds of work below which a second thread costs more than it saves: it must be woken, and waited for when
others (PyTorch's threads, which spin for a while after each of its calls) hold its processor."""

_SHORT = 2 * SHORT
"""Seconds of work up to which a team takes it: in the pool, threads would wait for each other's turns in Python."""

_NONZERO = 7e-10
"""Seconds for a nonzero that is multiplied by itself."""

EMPTY = np.empty(0, np.float32)


def sparse_linear(
    inputs: Floats, weight: SparseWeight, bias: Floats | None = None, threads: int | None = None
) -> Floats:
    """Multiply activations by a sparse weight.

    NaN and infinities reach what they reach in the dense product: 0 * Inf is NaN. Results do not depend on the
    number of threads. Calls may run at the same time.

    Args:
        inputs: float32[batch, columns].
        weight: [rows, columns], in one of the forms of `from_dense`.
        bias: float32[rows].
        threads: most to use; by default `kernels.parallel.threads()`. Small products use one.

    Returns:
        float32[batch, rows].

    Raises:
        InputError: shapes that do not fit, or another type than float32.
    """
    rows, columns = weight.shape
    if inputs.ndim != 2 or inputs.shape[1] != columns or inputs.dtype != np.float32:
        given = f"{inputs.dtype}{list(inputs.shape)}"
        raise InputError(f"a {rows}x{columns} weight multiplies float32[batch, {columns}], not {given}")
    bias = checked_bias(bias, rows)
    if choice.plain():
        return plain.linear(inputs, weight, bias if bias.size else None)
    inputs = np.ascontiguousarray(inputs)
    outputs = np.empty((inputs.shape[0], rows), np.float32)
    if not outputs.size:
        return outputs
    if not _multiply(inputs, weight, bias, outputs, threads):
        _taint(inputs, weight, outputs, threads)
    return outputs


def checked_bias(bias: Floats | None, rows: int) -> Floats:
    """A bias as the loops take it: contiguous, empty where there is none.

    Raises:
        InputError: not float32[rows].
    """
    if bias is None:
        return EMPTY
    if bias.shape != (rows,) or bias.dtype != np.float32:
        raise InputError(f"the bias of {rows} rows must be float32[{rows}], not {bias.dtype}{list(bias.shape)}")
    return np.ascontiguousarray(bias)


def workers(nanoseconds: float, threads: int | None) -> int:
    """Threads for so much work."""
    if nanoseconds < _ALONE:
        return 1
    return default_threads() if threads is None else threads


def shares(rows: int, threads: int, unit: int = LANES) -> int:
    """Rows in a block: a few blocks for each thread, as some have more to do; a multiple of `unit`."""
    if threads == 1:
        return max(rows, 1)
    return -(-rows // (4 * threads * unit)) * unit


def _multiply(inputs: Floats, weight: SparseWeight, bias: Floats, outputs: Floats, threads: int | None) -> bool:
    """Fill `outputs`; false where an input is not finite."""
    batch = inputs.shape[0]
    if not inputs.shape[1]:
        outputs[:] = bias if bias.size else 0
        return True
    if isinstance(weight, Bitmask):
        if batch > _EXPANDED:
            return _panels(inputs, weight, bias, outputs, threads)
        return _few_masked(inputs, weight, bias, outputs, threads)
    nonzeros = weight.columns.size
    if batch * (nonzeros + _ROW * weight.shape[0]) > _GATHERED * nonzeros + _SETTING_UP and batch > 1:
        return _panels(inputs, weight, bias, outputs, threads)
    source, target = inputs.reshape(-1), outputs.reshape(-1)
    parts = (weight.starts, weight.columns, *factors(weight), bias, target)
    arguments = (source, batch, inputs.shape[1], *parts)
    seconds = _NONZERO * batch * nonzeros
    if seconds < _SHORT:
        members, count = team(seconds, threads)
        gather_together(members, (shares(weight.shape[0], count), weight.shape[0]), arguments)
    else:
        _spread(lambda first, last: gather_rows(*arguments, first, last), weight, seconds * 1e9, threads)
    return bool(finite(source))


def _few_masked(inputs: Floats, weight: Bitmask, bias: Floats, outputs: Floats, threads: int | None) -> bool:
    batch, columns = inputs.shape
    width = weight.mask.shape[1] * WORD
    padded = inputs
    if width != columns:
        padded = np.zeros((batch, width), np.float32)
        padded[:, :columns] = inputs
    source, target = padded.reshape(-1), outputs.reshape(-1)

    def work(first: int, last: int) -> None:
        expand_mask(source, batch, weight.mask, weight.values, weight.starts, bias, target, first, last)

    _spread(work, weight, weight.mask.size * 4.0 * batch, threads)
    return bool(finite(source))


def _spread(work: Callable[[int, int], None], weight: SparseWeight, nanoseconds: float, threads: int | None) -> None:
    count = workers(nanoseconds, threads)
    if count == 1:
        work(0, weight.shape[0])
    else:
        map_blocks(work, weight.shape[0], shares(weight.shape[0], count), count)


@lru_cache(maxsize=256)
def best_width(lanes: int, most: int = WIDEST) -> int:
    """Vectors of a tile, at most so many, with which lanes cost least: wide tiles waste some, narrow ones repeat."""
    # What a nonzero costs by itself is about two thirds of a vector more.
    widths = [vectors for vectors in WIDTHS if vectors <= most]
    return min(widths, key=lambda vectors: -(-lanes // (LANES * vectors)) * (vectors + 0.7))


def panel_vectors(batch: int, length: int) -> int:
    """Width of a panel, in vectors: not too wide for the cache, and with few lanes that hold nothing."""
    most = min(WIDEST, max(1, _PANEL_BYTES // (4 * LANES * length)))
    return best_width(batch, most)


def _aligned(size: int) -> Floats:
    """Room for so many values from the start of a cache line on: vectors across two lines would take twice the time."""
    room = np.empty(size + LANES, np.float32)
    shift = -room.__array_interface__["data"][0] // 4 % LANES
    return room[shift : shift + size]


def _panels(inputs: Floats, weight: SparseWeight, bias: Floats, outputs: Floats, threads: int | None) -> bool:
    batch, length = inputs.shape
    vectors = panel_vectors(batch, length)
    count = -(-batch // (vectors * LANES))
    panels = _aligned(count * length * vectors * LANES)
    if batch % LANES:
        padded = np.zeros((-(-batch // LANES) * LANES, length), np.float32)
        padded[:batch] = inputs
        inputs = padded
    source, target = inputs.reshape(-1), outputs.reshape(-1)
    fillers = workers(0.4 * inputs.size, threads)
    whole = map_blocks(
        lambda first, last: fill_panels(source, length, vectors, panels, first, last),
        count,
        -(-count // fillers),
        fillers,
    )
    nanoseconds = 0.8 * int(weight.starts[-1]) * (vectors + 0.7) * count
    if nanoseconds < _SHORT * 1e9 and not isinstance(weight, Bitmask):
        members, used = team(nanoseconds * 1e-9, threads)
        tail = (weight.starts, weight.columns, *factors(weight), bias, target)
        cut = (shares(weight.shape[0], used), weight.shape[0])
        panels_together(members, cut, count, panels, (length, vectors, batch), tail)
        return all(whole)
    used = workers(nanoseconds, threads)
    block = shares(weight.shape[0], used)
    blocks = -(-weight.shape[0] // block)

    def work(index: int, _: int) -> None:
        panel, part = divmod(index, blocks)
        first, last = part * block, min((part + 1) * block, weight.shape[0])
        _panel_rows(weight, panels, panel, vectors, batch, bias, target, first, last)

    map_blocks(work, count * blocks, 1, used)
    return all(whole)


def _panel_rows(
    weight: SparseWeight,
    panels: Floats,
    panel: int,
    vectors: int,
    batch: int,
    bias: Floats,
    outputs: Floats,
    first: int,
    last: int,
) -> None:
    """Rows first to last of one panel, whatever form they are in."""
    head = (panels, panel, weight.shape[1], vectors, batch)
    if not isinstance(weight, Bitmask):
        multiply_panel(*head, weight.starts, weight.columns, *factors(weight), bias, outputs, first, last, 0)
        return
    for top in range(first, last, _LISTED):
        bottom = min(top + _LISTED, last)
        begin, end = weight.starts[top], weight.starts[bottom]
        columns = np.empty(end - begin + 8, column_dtype(weight.shape[1]))
        list_columns(weight.mask, weight.starts, columns, top, bottom)
        starts = weight.starts[top : bottom + 1] - begin
        values = weight.values[begin:end]
        multiply_panel(*head, starts, columns, values, False, EMPTY, bias, outputs, 0, bottom - top, top)


def factors(weight: Csr | Signs) -> tuple[Floats | None, bool, Floats]:
    """What the loops multiply by: a value for each nonzero or None, whether rows are signed, what scales them."""
    return (weight.values, False, EMPTY) if isinstance(weight, Csr) else (None, True, weight.scale)


def pattern(weight: SparseWeight) -> SparseWeight:
    """A weight with 1 wherever the given one is not zero."""
    if isinstance(weight, Signs):
        starts = np.ascontiguousarray(weight.starts[::2])
        return Csr(weight.shape, starts, weight.columns, np.ones(weight.columns.size, np.float32))
    return replace(weight, values=np.ones_like(weight.values))


def _taint(inputs: Floats, weight: SparseWeight, outputs: Floats, threads: int | None) -> None:
    """Make NaN what a zero weight makes NaN in the dense product: where it meets what is not finite."""
    hurt = np.flatnonzero(~np.isfinite(inputs).all(axis=1))
    broken = (~np.isfinite(inputs[hurt])).astype(np.float32)
    met = np.empty((hurt.size, weight.shape[0]), np.float32)
    _multiply(broken, pattern(weight), EMPTY, met, threads)
    # Counts are exact: all are below 2**24, or the sums round alike only where no weight is zero.
    rows, columns = np.nonzero(met < broken.sum(axis=1)[:, None])
    outputs[hurt[rows], columns] = np.nan
