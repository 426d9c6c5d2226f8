"""Sparse convolutions of images: each nonzero of a filter is added once for a whole run of pixels."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from weightsmith.errors import InputError
from weightsmith.kernels import choice
from weightsmith.kernels.parallel import map_blocks
from weightsmith.kernels.sparse import plain
from weightsmith.kernels.sparse.forms import Bitmask, Csr, Signs, from_dense
from weightsmith.kernels.sparse.images import convolve_rows, lay_out
from weightsmith.kernels.sparse.linear import EMPTY, best_width, checked_bias, factors, pattern, shares, workers
from weightsmith.kernels.sparse.vectors import LANES, WIDEST

Floats = NDArray[np.float32]
Pair = tuple[int, int]


@dataclass(frozen=True)
class _Plan:
    """Sizes of one convolution, all worked out."""

    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int
    channels: int
    size: Pair
    """Height and width of the output."""
    phase: Pair
    """Rows and columns of a phase (see `images`)."""

    @property
    def area(self) -> int:
        """Values of one channel, in all its phases."""
        return self.stride[0] * self.stride[1] * self.phase[0] * self.phase[1]

    @property
    def vectors(self) -> int:
        """Width of a tile, in vectors."""
        pixels = max(1, self.size[0] * self.phase[1])
        return best_width(pixels)

    @property
    def tiles(self) -> int:
        return -(-self.size[0] * self.phase[1] // (LANES * self.vectors))


@lru_cache(maxsize=256)
def _taps(plan: _Plan) -> NDArray[np.int64]:
    """Where each tap lies, from the first value of its group's channels, for the first pixel."""
    channel, row, column = np.indices((plan.channels // plan.groups, *plan.kernel), np.int64).reshape(3, -1)
    row, column = row * plan.dilation[0], column * plan.dilation[1]
    phase = (row % plan.stride[0]) * plan.stride[1] + column % plan.stride[1]
    inside = (row // plan.stride[0]) * plan.phase[1] + column // plan.stride[1]
    offsets: NDArray[np.int64] = channel * plan.area + phase * plan.phase[0] * plan.phase[1] + inside
    return offsets


@lru_cache(maxsize=256)
def _origins(plan: _Plan, rows: int) -> NDArray[np.int64]:
    """Where the channels of each output channel's group begin."""
    group = np.arange(rows) // max(1, rows // plan.groups)
    return group * (plan.channels // plan.groups) * plan.area


def sparse_convolution(
    inputs: Floats,
    weight: Csr | Signs,
    bias: Floats | None = None,
    *,
    kernel: Pair,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
    threads: int | None = None,
) -> Floats:
    """Convolve images with sparse filters, zeros around them.

    NaN, infinities, threads and concurrent calls: as `sparse_linear`.

    Args:
        inputs: float32[batch, channels, height, width].
        weight: the filters, flattened to [out, channels / groups * kernel height * kernel width] in C order.
        bias: float32[out].
        kernel: height, width.
        stride: rows, columns.
        padding: zeros on each side, rows and columns.
        dilation: distance of taps, rows and columns.
        groups: as in `torch.nn.Conv2d`.
        threads: as in `sparse_linear`.

    Returns:
        float32[batch, out, output height, output width].

    Raises:
        InputError: sizes that do not fit, another type than float32, or a weight held as a bitmask.
    """
    plan = _planned(inputs, weight, kernel, stride, padding, dilation, groups)
    bias = checked_bias(bias, weight.shape[0])
    if choice.plain():
        given = bias if bias.size else None
        return plain.convolution(inputs, weight, given, kernel, stride, padding, dilation, groups)
    inputs = np.ascontiguousarray(inputs)
    outputs = np.empty((inputs.shape[0], weight.shape[0], *plan.size), np.float32)
    if not outputs.size:
        return outputs
    for number in _convolve(inputs, weight, bias, plan, outputs, threads):
        _taint(inputs[number], weight, plan, outputs[number])
    return outputs


def _planned(
    inputs: Floats,
    weight: Csr | Signs,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> _Plan:
    """Check and work out sizes."""
    if isinstance(weight, Bitmask):
        raise InputError("a sparse convolution takes a weight held as 'csr' or 'signs', not as a bitmask")
    if inputs.ndim != 4 or inputs.dtype != np.float32:
        given = f"{inputs.dtype}{list(inputs.shape)}"
        raise InputError(f"images to convolve must be float32[batch, channels, height, width], not {given}")
    if min(*kernel, *stride, *dilation, groups) < 1 or min(padding) < 0:
        raise InputError(
            f"kernel {kernel}, stride {stride}, dilation {dilation} and groups {groups} must be positive, "
            f"padding {padding} not negative"
        )
    rows, columns = weight.shape
    channels = inputs.shape[1]
    if rows % groups or channels % groups or columns != channels // groups * kernel[0] * kernel[1]:
        taken = f"{channels} channels in {groups} groups with a {kernel[0]}x{kernel[1]} kernel"
        raise InputError(f"a {rows}x{columns} weight does not convolve {taken}")
    padded = [inputs.shape[2 + axis] + 2 * padding[axis] for axis in (0, 1)]
    extent = [dilation[axis] * (kernel[axis] - 1) + 1 for axis in (0, 1)]
    if padded[0] < extent[0] or padded[1] < extent[1]:
        raise InputError(
            f"a kernel over {extent[0]}x{extent[1]} does not fit a padded image of {padded[0]}x{padded[1]}"
        )
    height, width = ((padded[axis] - extent[axis]) // stride[axis] + 1 for axis in (0, 1))
    deep, wide = (-(-padded[axis] // stride[axis]) for axis in (0, 1))
    return _Plan(kernel, stride, padding, dilation, groups, channels, (height, width), (deep, wide))


def _convolve(
    inputs: Floats, weight: Csr | Signs, bias: Floats, plan: _Plan, outputs: Floats, threads: int | None
) -> list[int]:
    """Fill `outputs`; the numbers of the images that hold anything that is not finite."""
    batch, rows = outputs.shape[:2]
    parts = (weight.starts, weight.columns, *factors(weight), bias)
    shared = (plan.phase[1], _origins(plan, rows), _taps(plan), plan.vectors, *parts)
    cost = (0.8 * weight.columns.size + 20 * rows) * plan.vectors * plan.tiles
    used = workers(batch * (cost + 0.5 * inputs[0].size), threads)
    if batch >= 2 * used or used == 1:

        def whole(first: int, last: int) -> list[int]:
            hurt = []
            for number in range(first, last):
                phases, intact = _laid_out(inputs[number], plan)
                convolve_rows(phases, *shared, outputs[number], 0, rows, 0, plan.tiles)
                hurt += [] if intact else [number]
            return hurt

        return [number for part in map_blocks(whole, batch, shares(batch, used, 1), used) for number in part]
    hurt = []
    block = shares(rows, used, 1)
    for number in range(batch):
        phases, intact = _laid_out(inputs[number], plan)

        def work(first: int, last: int, phases: Floats = phases, number: int = number) -> None:
            convolve_rows(phases, *shared, outputs[number], first, last, 0, plan.tiles)

        map_blocks(work, rows, block, used)
        hurt += [] if intact else [number]
    return hurt


def _laid_out(image: Floats, plan: _Plan) -> tuple[Floats, bool]:
    """The phases of one image, with as many zeros behind them as the last tile may read; whether it is finite."""
    size = image.shape[0] * plan.area
    phases = np.zeros(size + WIDEST * LANES + plan.phase[1], np.float32)
    shaped = phases[:size].reshape(image.shape[0], *plan.stride, *plan.phase)
    return phases, bool(lay_out(image, plan.stride, plan.padding, shaped))


def _taint(image: Floats, weight: Csr | Signs, plan: _Plan, output: Floats) -> None:
    """Make NaN what a zero weight makes NaN in the dense product."""
    broken = (~np.isfinite(image)).astype(np.float32)[None]
    met = np.empty((1, *output.shape), np.float32)
    _convolve(broken, pattern(weight), EMPTY, plan, met, 1)  # type: ignore[arg-type]
    ones = from_dense(np.ones((plan.groups, weight.shape[1]), np.float32), "csr")
    seen = np.empty((1, plan.groups, *plan.size), np.float32)
    _convolve(broken, ones, EMPTY, plan, seen, 1)  # type: ignore[arg-type]
    output[met[0] < np.repeat(seen[0], output.shape[0] // plan.groups, axis=0)] = np.nan
