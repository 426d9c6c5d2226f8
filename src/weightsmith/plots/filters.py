"""First-layer weights as small images: what each neuron or filter looks for in its input."""

from dataclasses import dataclass
from math import isqrt
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from weightsmith.analysis import Norms, kernel, norms
from weightsmith.errors import InputError
from weightsmith.plots import style
from weightsmith.plots.style import Theme, count_of, number, percent, shown
from weightsmith.plots.subject import NothingToDrawError, shape_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from weightsmith.sources import Source

TILES = 64
SMALLEST_SIDE = 4
BLANK = 0.1
"""Share of the median norm below which a filter counts as blank."""


@dataclass(frozen=True)
class Filters:
    """What the picture shows.

    Attributes:
        images: float64[k, height, width] or float64[k, height, width, 3] (red, green, blue), strongest first.
        rows: int64[k], the neuron or filter of each image.
        total: neurons or filters of the layer.
        limit: magnitude at which the colors end, the same for all.
        channel: which input channel is shown of each filter, int64[k], where it has more than three.
    """

    title: str
    subtitle: str
    images: NDArray[np.float64]
    rows: NDArray[np.int64]
    total: int
    limit: float
    channel: NDArray[np.int64] | None


def summarize(source: "Source", name: str, image: tuple[int, ...] | None = None, most: int = TILES) -> Filters:
    """Turn one weight of a source into images.

    Args:
        source: holds the weight.
        name: of a convolution over two dimensions, or of a linear layer whose inputs are pixels.
        image: `(height, width)` or `(channels, height, width)` of the input of a linear layer; by default square, of
            one channel or three.
        most: images at most; the strongest are shown.

    Raises:
        InputError: `image` has another number of pixels than the layer has inputs.
        NothingToDrawError: the weight's inputs are no image.
    """
    weight = source[name]
    return of(kernel(weight, source.file_format), name, shape_line(source.label, name, weight.shape), image, most)


def of(
    array: NDArray[Any], name: str, subtitle: str, image: tuple[int, ...] | None = None, most: int = TILES
) -> Filters:
    """Turn an array of shape `(neurons, pixels)` or `(filters, channels, height, width)` into images."""
    stack = _as_images(array, name, image)
    measured = norms(stack.reshape(len(stack), -1))
    if measured.non_finite == stack.size:
        raise NothingToDrawError(f"{shown(name)} has no finite value")
    lengths = measured.rows
    order = np.argsort(-lengths, kind="stable")[:most].astype(np.int64)
    images = np.nan_to_num(stack[order].astype(np.float64), nan=np.nan, posinf=np.nan, neginf=np.nan)
    channel = None
    if images.shape[1] not in (1, 3):
        # The strongest channel and not the mean, in which opposite channels would cancel.
        energy = np.nansum(np.square(images), axis=(2, 3))
        channel = np.argmax(energy, axis=1).astype(np.int64)
        images = images[np.arange(len(images)), channel][:, None]
    images = images[:, 0] if images.shape[1] == 1 else np.moveaxis(images, 1, -1)
    magnitudes = np.abs(images[np.isfinite(images)])
    limit = float(np.quantile(magnitudes, 0.998)) if len(magnitudes) else 0.0
    return Filters(_sentence(measured, name), subtitle, images, order, len(stack), limit or 1.0, channel)


def _as_images(array: NDArray[Any], name: str, image: tuple[int, ...] | None) -> NDArray[Any]:
    """The weight as `(neurons, channels, height, width)`."""
    if not array.size:
        raise NothingToDrawError(f"{shown(name)} has no elements")
    if array.ndim == 4:
        if min(array.shape[2:]) < 2:
            raise NothingToDrawError(
                f"{shown(name)} has filters of {array.shape[2]} x {array.shape[3]}: no image to see"
            )
        return array
    if array.ndim != 2:
        raise NothingToDrawError(f"{shown(name)} of shape {array.shape} is no layer over images")
    pixels = array.shape[1]
    if image is None:
        return array.reshape(len(array), *_guess(pixels, name))
    shape = (1, *image) if len(image) == 2 else image
    if len(shape) != 3 or int(np.prod(shape)) != pixels:
        raise InputError(f"an input image of shape {image} does not fit the {pixels} inputs of {shown(name)}")
    return array.reshape(len(array), *shape)


def _guess(pixels: int, name: str) -> tuple[int, int, int]:
    """`(channels, height, width)` of a square image of one channel, or else of three."""
    for channels in (1, 3):
        side = isqrt(pixels // channels)
        if side >= SMALLEST_SIDE and channels * side * side == pixels:
            return channels, side, side
    raise NothingToDrawError(f"the {pixels} inputs of {shown(name)} are no square image: give its height and width")


def _sentence(measured: Norms, name: str) -> str:
    lengths = measured.rows
    median = float(np.median(lengths))
    blank = int(np.count_nonzero(lengths < BLANK * median)) if median else int(np.count_nonzero(lengths == 0))
    who = f"{count_of(len(lengths), 'filter')} of {shown(name, 30)}"
    if len(measured.non_finite_rows):
        verb = "holds" if len(measured.non_finite_rows) == 1 else "hold"
        return f"{len(measured.non_finite_rows):,} of {who} {verb} NaN or Inf"
    if blank == len(lengths):
        return f"All {who} are zero"
    if blank:
        return f"{blank:,} of {who} {'is' if blank == 1 else 'are'} blank: norm under {percent(BLANK)} of the median"
    ratio = float(lengths.max() / lengths.min())
    return f"{who}, none blank: norms within a factor of {number(ratio)}"


def draw(filters: Filters, theme: Theme, title: str = "") -> "Figure":
    """Draw what `summarize` found, under a title of its own or under another."""
    count = len(filters.images)
    height, width = filters.images.shape[1:3]
    columns = _columns(count, height / width)
    rows = -(-count // columns)
    tall = height / width  # of a tile one unit wide; a fifth of a unit above each is for its number
    figure = style.new_figure(
        theme,
        7.6,
        float(np.clip(7.0 / columns * rows * (tall + 0.25), 1.0, 9.5)) + (1.9 if filters.images.ndim == 3 else 1.4),
    )
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set_aspect("equal")
    painted = None
    for place in range(count):
        x, y = 1.08 * (place % columns), (tall + 0.25) * (place // columns)
        painted = _draw_tile(axes, filters, place, (x, x + 1, y + tall, y), theme)
        text = f"{filters.rows[place]}" + ("" if filters.channel is None else f" in {filters.channel[place]}")
        style.label(axes, x, y - 0.03, text, theme.muted, min(7.5, 60 / columns), va="bottom")
    axes.set_xlim(-0.02, 1.08 * columns - 0.06)
    axes.set_ylim((tall + 0.25) * rows - 0.2, -0.24)
    if filters.images.ndim == 3:
        style.colorbar(figure, painted, axes, theme, "weight", location="bottom", shrink=0.5, aspect=40, pad=0.02)
    style.finish(figure, theme, title or filters.title, filters.subtitle, _notes(filters))
    return figure


def _columns(count: int, tall: float) -> int:
    """Tiles in a row: about as wide as high altogether, and with few places left empty in the last row."""
    middle = max(1, round((count * (tall + 0.25)) ** 0.5))
    choices = range(max(1, middle - 1), min(count, middle + 2) + 1) or range(1, 2)
    return min(choices, key=lambda columns: (-count % columns, abs(columns - middle)))


def _draw_tile(
    axes: "Axes", filters: Filters, place: int, extent: tuple[float, float, float, float], theme: Theme
) -> Any:
    from matplotlib.patches import Rectangle

    image = filters.images[place]
    options: dict[str, Any] = {"interpolation": "nearest", "extent": extent}
    if image.ndim == 3:
        image = np.clip(0.5 + 0.5 * np.nan_to_num(image) / filters.limit, 0, 1)
    else:
        scale = style.diverging(theme).with_extremes(bad=theme.alarm)
        options |= {"cmap": scale, "vmin": -filters.limit, "vmax": filters.limit}
        image = np.ma.masked_invalid(image)
    painted = axes.imshow(image, **options)
    left, right, bottom, top = extent
    axes.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, color=theme.zero, linewidth=0.7))
    return painted


def _notes(filters: Filters) -> list[str]:
    first = "Strongest first, all on one scale; the number is the row."
    if len(filters.rows) < filters.total:
        first = f"The {len(filters.rows)} strongest of {filters.total:,}, all on one scale; the number is the row."
    notes = [first]
    if filters.images.ndim == 4:
        notes.append(f"Gray is zero; red, green and blue reach \N{PLUS-MINUS SIGN}{number(filters.limit)}.")
    if filters.channel is not None:
        notes.append("Of each filter the input channel with the largest norm is shown: its number follows the row's.")
    return notes
