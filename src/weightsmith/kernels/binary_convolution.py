"""Convolutions of float32 images with binary weights: exact, without unpacking a weight or a patch of the image.

The tables of a pixel, one for each four channels, serve every tap of the kernel and every output channel. They are
made for one rectangle of outputs at a time, which the caches hold. Padding is a table of zeros.
"""

from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from weightsmith.errors import InputError
from weightsmith.kernels.binary import PRODUCT, Alphabet, Numbers, factors, low_of
from weightsmith.kernels.binary_loop import LANES
from weightsmith.kernels.binary_sweep import TABLES, fast, sweep
from weightsmith.kernels.binary_tables import aligned, fill_table
from weightsmith.kernels.binary_tiles import Tiles, check_tiles, words_of
from weightsmith.kernels.parallel import map_blocks
from weightsmith.kernels.parallel import threads as default_threads
from weightsmith.kernels.shared_words import task_of
from weightsmith.kernels.team import ALONE, SHORT, team, together

Pair = tuple[int, int]
"""Height and width, in pixels."""

_TABLES_AT_A_TIME = 10_000
"""Tables of a rectangle: 640 KB, so that weights have room beside them in the second cache."""

_SUMS_AT_A_TIME = 2**18
"""Sums of a rectangle: 1 MB."""


@dataclass(frozen=True)
class _Shape:
    """What the compiled loop needs to know, in the order in which it takes it apart."""

    groups: int
    rows: int
    """Output channels of a group."""
    channels: int
    """Input channels of a group."""
    kernel_height: int
    kernel_width: int
    stride_down: int
    stride_right: int
    pad_above: int
    pad_left: int
    step_down: int
    step_right: int
    tall: int
    """Height of a rectangle of outputs."""
    wide: int
    """Width of one."""
    slots: int
    """Tables of a pixel, one of zeros among them where the last word of a row is not full."""
    count: int
    """Words in a row of weights."""


def binary_convolution(
    inputs: Numbers,
    tiles: Tiles,
    rows: int,
    columns: int,
    *,
    kernel: Pair,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
    alphabet: Alphabet,
    scale: Numbers | None = None,
    bias: Numbers | None = None,
    threads: int | None = None,
) -> Numbers:
    """A convolution with binary weights: `scale * conv2d(inputs, W) + bias`, as `torch.nn.functional.conv2d`.

    Args:
        inputs: float32[batch, channels, height, width]; copied if it is not in C order.
        tiles: the weights, from `tile(bits, columns, taps)` with kernel height times kernel width taps.
        rows: output channels.
        columns: weights of an output channel, `channels // groups * taps`.
        kernel: height and width.
        stride: of the outputs, down and to the right.
        padding: zeros above and below, left and right.
        dilation: distance of the taps.
        groups: into which the channels are divided.
        alphabet: what a bit stands for.
        scale: float32[1] or float32[rows].
        bias: float32[rows].
        threads: most threads to use; small images take fewer.

    Returns:
        float32[batch, rows, output height, output width].

    Raises:
        InputError: a shape or type is not as said here, or the kernel is larger than the padded image.
    """
    taps = kernel[0] * kernel[1]
    _check(inputs, rows, columns, groups, (kernel, stride, dilation), padding)
    check_tiles(tiles, rows, columns, taps)
    low, (scaled, added), best = low_of(alphabet), factors(scale, bias, rows), fast()
    height, width = (
        (inputs.shape[2 + i] + 2 * padding[i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1 for i in range(2)
    )
    if min(height, width) < 1:
        raise InputError(f"a kernel of {kernel} does not fit an image of {inputs.shape[2:]} padded by {padding}")
    outputs = np.empty((len(inputs), rows, height, width), np.float32)
    if not outputs.size:
        return outputs
    seconds = PRODUCT * outputs.size * columns
    members, workers = team(seconds, threads)
    if seconds >= SHORT:
        members, workers = ALONE, default_threads() if threads is None else threads
    geometry = (kernel, stride, dilation)
    channels = columns // taps
    spare = channels > 0 and -(-channels // 4) * taps % TABLES != 0
    slots = -(-channels // 4) + spare
    tall, wide = _rectangle((height, width), geometry, slots, rows // groups, len(inputs) * groups, workers)
    shape = _Shape(
        groups,
        rows // groups,
        channels,
        *kernel,
        *stride,
        *padding,
        *dilation,
        tall,
        wide,
        slots,
        words_of(columns, taps),
    )
    images, words, plan = np.ascontiguousarray(inputs), tiles.reshape(-1), astuple(shape)

    arguments = (best, images, words, low, scaled, added, outputs, plan)
    blocks = len(inputs) * groups * -(-height // tall) * -(-width // wide)
    size = -(-blocks // (4 * workers)) if workers > 1 else blocks
    if seconds < SHORT:
        _together(members, size, blocks, *arguments)
    else:
        map_blocks(lambda start, stop: _convolve(*arguments, start, stop), blocks, size, workers)
    return outputs


def _check(inputs: Numbers, rows: int, columns: int, groups: int, positive: tuple[Pair, ...], padding: Pair) -> None:
    """Refuse what is no convolution."""
    if inputs.ndim != 4 or inputs.dtype != np.float32:
        raise InputError(
            f"inputs must be float32[batch, channels, height, width], not {inputs.dtype}{list(inputs.shape)}"
        )
    if min(min(pair) for pair in positive) < 1 or min(padding) < 0 or groups < 1:
        raise InputError("kernel, stride, dilation and groups must be at least 1, padding at least 0")
    kernel = positive[0]
    channels = inputs.shape[1]
    if channels % groups or rows % groups or columns != channels // groups * kernel[0] * kernel[1]:
        raise InputError(
            f"{rows} x {columns} weights with a kernel of {kernel} in {groups} groups do not fit {channels} channels"
        )


def _rectangle(
    image: Pair, geometry: tuple[Pair, Pair, Pair], slots: int, rows: int, images: int, workers: int
) -> Pair:
    """Height and width of the rectangles of outputs: small enough for the caches, several for each thread."""
    kernel, stride, dilation = geometry
    height, width = image
    tall, wide = height, width
    if workers > 1:
        tall = max(1, -(-height * images // (2 * workers)))
    tall = min(tall, height)

    def tables() -> int:
        down, right = (
            (side - 1) * stride[i] + (kernel[i] - 1) * dilation[i] + 1 for i, side in enumerate((tall, wide))
        )
        return down * right * slots

    while tables() > _TABLES_AT_A_TIME or tall * wide * rows > _SUMS_AT_A_TIME:
        if tall > 1:
            tall = -(-tall // 2)
        elif wide > 4:
            wide = -(-wide // 2)
        else:
            break
    return tall, wide


@njit(nogil=True, cache=True)
def _part(arguments: Any, part: int) -> None:
    size, blocks, best, images, words, low, scale, bias, outputs, plan = arguments
    stop = min((part + 1) * size, blocks)
    _convolve(best, images, words, low, scale, bias, outputs, plan, part * size, stop)


_task = task_of(_part)


@njit(nogil=True, cache=True)
def _together(
    team: Any,
    size: int,
    blocks: int,
    best: bool,
    images: Numbers,
    words: NDArray[np.uint32],
    low: np.float32,
    scale: Numbers,
    bias: Numbers,
    outputs: Numbers,
    plan: tuple[int, ...],
) -> None:
    """All rectangles, so many to a part."""
    arguments = (size, blocks, best, images, words, low, scale, bias, outputs, plan)
    if not together(team, _task(arguments), -(-blocks // size)):
        for part in range(-(-blocks // size)):
            _part(arguments, part)


@njit(nogil=True, cache=True)
def _convolve(
    best: bool,
    images: Numbers,
    words: NDArray[np.uint32],
    low: np.float32,
    scale: Numbers,
    bias: Numbers,
    outputs: Numbers,
    plan: tuple[int, ...],
    start: int,
    stop: int,
) -> None:
    """Rectangles `start` to `stop`, numbered by image, group, row and column."""
    groups, rows, channels, taps_down, taps_right, down, right, above, left, step_down, step_right = plan[:11]
    tall, wide, slots, count = plan[11:]
    region = (
        (tall - 1) * down + (taps_down - 1) * step_down + 1,
        (wide - 1) * right + (taps_right - 1) * step_right + 1,
    )
    tables = aligned(region[0] * region[1] * slots * LANES)
    offsets = _tap_offsets(channels, taps_down, taps_right, step_down * region[1], step_right, slots, count)
    height, width = outputs.shape[2:]
    across, along = -(-width // wide), -(-height // tall)
    sums = aligned(tall * wide * (rows + 2 * LANES))
    for block in range(start, stop):
        x, y = block % across * wide, block // across % along * tall
        group, image = block // across // along % groups, block // across // along // groups
        planes = images[image, group * channels : (group + 1) * channels]
        shape = (min(tall, height - y), min(wide, width - x))
        _fill_region(tables, planes, low, region, slots, y * down - above, x * right - left)
        bases = np.empty(shape[0] * shape[1], np.int64)
        for i in range(shape[0]):
            for j in range(shape[1]):
                bases[i * shape[1] + j] = (i * down * region[1] + j * right) * slots * LANES
        first = group * rows // LANES
        some = ((group + 1) * rows + LANES - 1) // LANES - first
        found = sums[: some * bases.size * LANES].reshape(some, bases.size, LANES)
        found[:] = 0
        if count:
            stride = count * LANES
            sweep(best, tables, bases, offsets, words, found, first * stride, stride, count)
        target = outputs[image, :, y : y + shape[0], x : x + shape[1]]
        _write(target, found, group * rows, (group + 1) * rows, group * rows - first * LANES, scale, bias)


@njit(nogil=True, cache=True)
def _tap_offsets(
    channels: int, taps_down: int, taps_right: int, below: int, beside: int, slots: int, count: int
) -> NDArray[np.int64]:
    """From the first table of a point to that of each four weights: by tap, then by channel; last, zeros."""
    fours = -(-channels // 4)
    offsets = np.full(count * TABLES, fours * LANES)
    at = 0
    for i in range(taps_down):
        for j in range(taps_right):
            for four in range(fours):
                offsets[at] = ((i * below + j * beside) * slots + four) * LANES
                at += 1
    return offsets


@njit(nogil=True, cache=True)
def _fill_region(
    tables: Numbers, planes: Numbers, low: np.float32, region: Pair, slots: int, top: int, side: int
) -> None:
    """Tables of the pixels from row `top` and column `side` on, of zeros where the image has none."""
    channels, height, width = planes.shape
    nothing = np.float32(0)
    for i in range(region[0]):
        y = top + i
        begin = min(max(0, -side), region[1]) if 0 <= y < height else region[1]
        end = max(begin, min(region[1], width - side))
        row = i * region[1]
        for slot in range(slots):
            c, rest = 4 * slot, min(channels - 4 * slot, 4)
            stop = end if rest > 0 else begin
            for j in range(begin, stop):
                x = side + j
                fill_table(
                    tables,
                    ((row + j) * slots + slot) * LANES,
                    low,
                    planes[c, y, x],
                    planes[c + 1, y, x] if rest > 1 else nothing,
                    planes[c + 2, y, x] if rest > 2 else nothing,
                    planes[c + 3, y, x] if rest > 3 else nothing,
                )
            for j in range(begin):
                fill_table(tables, ((row + j) * slots + slot) * LANES, low, nothing, nothing, nothing, nothing)
            for j in range(stop, region[1]):
                fill_table(tables, ((row + j) * slots + slot) * LANES, low, nothing, nothing, nothing, nothing)


@njit(nogil=True, cache=True)
def _write(target: Numbers, sums: Numbers, begin: int, end: int, skip: int, scale: Numbers, bias: Numbers) -> None:
    """Scale sums, add the bias and write them to output channels `begin` to `end`."""
    height, width = target.shape[1:]
    for row in range(begin, end):
        tile, lane = (row - begin + skip) // LANES, (row - begin + skip) % LANES
        factor = np.float32(1)
        if scale.size:
            factor = scale[row if scale.size > 1 else 0]
        shift = bias[row] if bias.size else np.float32(0)
        for i in range(height):
            values, line = sums[tile, i * width : (i + 1) * width], target[row, i]
            for j in range(width):
                line[j] = values[j, lane] * factor + shift
