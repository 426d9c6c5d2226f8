"""`.../filters`: the rows of a weight's matrix as small images, a page of them at a time."""

from dataclasses import asdict
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from numpy.typing import NDArray

from weightsmith.analysis.grid import Grid
from weightsmith.analysis.images import ImageShape, strongest_channels
from weightsmith.errors import InputError
from weightsmith.web.answer import as_json, encoded, numbers
from weightsmith.web.images import shapes_of
from weightsmith.web.routes.weight import Index
from weightsmith.web.served import Here

router = APIRouter()

MOST = 64
"""Images in one answer."""

CELLS = 1 << 17
"""Numbers in one answer, which has fewer images where they are large."""

Side = Annotated[int | None, Query(ge=1, le=256)]


@router.get("/api/sources/{source}/weights/{index}/filters")
def filters(
    request: Request,
    here: Here,
    source: str,
    index: Index,
    first: Annotated[int, Query(ge=0, le=1 << 40)] = 0,
    count: Annotated[int, Query(ge=1, le=MOST)] = MOST,
    channel: Annotated[str, Query(pattern=r"^(strongest|color|\d{1,9})$")] = "strongest",
    height: Side = None,
    width: Side = None,
    channels_last: bool = False,
) -> Response:
    """Images of `count` rows from `first` on; fewer at the end, and where images are large.

    `channel` says which input channel of each is shown: a number, the strongest of each, or three as `color`. `height`,
    `width` and `channels_last` choose one of `choices` where the shape is assumed. Of each image, `planes` holds one
    list of values for each channel shown, row by row, null for what is not finite; nine digits, which give back a
    float32 exactly.
    """
    opened = here.library.source(source)
    choices = shapes_of(opened, index)
    shape = _chosen(choices, height, width, channels_last)
    shown = _channels(shape, channel)

    def compute() -> bytes:
        grid = here.pyramid(opened, index).grid
        size = max(1, min(count, CELLS // (shape.height * shape.width * (3 if channel == "color" else 1))))
        rows = range(min(first, grid.rows), min(first + size, grid.rows))
        return as_json(
            {
                **asdict(shape),
                "choices": [asdict(one) for one in choices],
                "total": grid.rows,
                "first": rows.start,
                "per_page": size,
                "channel": channel,
                "filters": [_image(grid, row, shape, shown) for row in rows],
            }
        )

    key = ("filters", opened.content, index, first, count, channel, shape)
    return encoded(request, here.results.result(key, compute, len), "application/json")


def _chosen(choices: tuple[ImageShape, ...], height: int | None, width: int | None, last: bool) -> ImageShape:
    if not choices:
        raise InputError("the rows of this weight are no images: only filters of convolutions and first layers are")
    if height is None and width is None:
        return choices[0]
    for one in choices:
        if (one.height, one.width) == (height, width) and (one.channels_last == last or not one.assumed):
            return one
    raise InputError(f"the rows of this weight are no images of {height} x {width}: see its choices")


def _channels(shape: ImageShape, channel: str) -> tuple[int, ...] | None:
    """The channels to show; None for the strongest of each image."""
    if channel == "strongest":
        return None
    if channel == "color":
        if shape.channels != 3:
            raise InputError(f"images of {shape.channels} channels have no colors: three are needed")
        return 0, 1, 2
    if int(channel) >= shape.channels:
        raise InputError(f"there is no channel {channel}: these images have {shape.channels}")
    return (int(channel),)


def _image(grid: Grid, row: int, shape: ImageShape, shown: tuple[int, ...] | None) -> dict[str, Any]:
    image = shape.of_rows(grid.read(row, row + 1, 0, grid.columns))
    channels = tuple(map(int, strongest_channels(image))) if shown is None else shown
    return {
        "row": row,
        "channels": list(channels),
        "norm": _norm(image),
        "planes": [numbers(image[0, channel].reshape(-1), 9) for channel in channels],
    }


def _norm(image: NDArray[Any]) -> float | None:
    """Length of the whole row over its finite values."""
    values = image.astype(np.float64)
    with np.errstate(over="ignore"):
        norm = float(np.linalg.norm(values[np.isfinite(values)]))
    return norm if np.isfinite(norm) else None
