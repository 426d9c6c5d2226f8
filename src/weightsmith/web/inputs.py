"""Inputs and what explains them as plain JSON values: pictures, heat over them, and the features that count most."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightsmith.names import printable
from weightsmith.web.answer import number, numbers

SIDE = 128
"""Cells of a picture's longer side; of a larger one, blocks are averaged."""

FEATURES = 20
"""Features that are handed out for one row, those with the largest magnitude first."""

CLIP = 0.995
"""Quantile of the magnitudes at which colors end, so that one pixel does not fade all others."""

Floats = NDArray[np.float32]


def is_pictured(inputs: Floats) -> bool:
    """Whether one input, without the axis of rows, is an image or a sequence and not plain features."""
    return inputs.ndim > 1


def picture(values: Floats) -> dict[str, Any]:
    """An input (channels, height, width) or (time, features) as levels 0 to 255, by row.

    Three channels are colors; of any other number of channels above one the mean magnitude is shown. Time runs from
    left to right, features downwards.
    """
    if values.ndim == 2:
        planes = [values.T]
    elif len(values) == 3:
        planes = list(values)
    else:
        planes = [values[0] if len(values) == 1 else np.abs(values).mean(axis=0)]
    small = np.stack([_reduced(np.asarray(plane, np.float64)) for plane in planes])
    low, high = np.quantile(small, [1 - CLIP, CLIP])
    levels = np.clip((small - low) / max(float(high - low), 1e-12), 0, 1)
    flat = np.rint(255 * levels).astype(np.int64).reshape(len(small), -1)
    return {"height": small.shape[1], "width": small.shape[2], "planes": flat.tolist()}


def heat(values: Floats, inputs: Floats) -> dict[str, Any]:
    """One signed value for each place of an input's picture: of several channels the sum, which keeps the total."""
    whole = values.sum(axis=0) if values.ndim == 3 else values.T if inputs.ndim == 2 else values
    small = _reduced(np.asarray(whole, np.float64))
    sizes = np.abs(small)
    reach = float(np.quantile(sizes, CLIP)) or float(sizes.max())
    return {"height": len(small), "width": small.shape[1], "values": numbers(small.reshape(-1), 5), "reach": reach}


def strongest(values: Floats, shown: Floats, names: Sequence[str] | None) -> dict[str, Any]:
    """The features of one row with the largest magnitude.

    Args:
        values: (features,) what is ranked and shown as bars.
        shown: (features,) the row in original units.
        names: of the features.
    """
    sizes = np.abs(values.astype(np.float64))
    order = np.argsort(-sizes, kind="stable")[:FEATURES]
    total = float(sizes.sum())
    return {
        "features": [
            {
                "index": int(place),
                "name": feature_name(int(place), names),
                "value": number(float(shown[place])),
                "weight": number(float(values[place])),
            }
            for place in order
        ],
        "share": float(sizes[order].sum()) / total if total else 0.0,
    }


def overall(rows: Sequence[Floats], names: Sequence[str] | None) -> list[dict[str, Any]]:
    """The features with the largest mean magnitude over some rows, with that mean and its share of all of them."""
    means = np.abs(np.stack(rows)).mean(axis=0, dtype=np.float64)
    total = float(means.sum())
    return [
        {
            "index": int(place),
            "name": feature_name(int(place), names),
            "mean": number(float(means[place])),
            "share": float(means[place]) / total if total else 0.0,
        }
        for place in np.argsort(-means, kind="stable")[:FEATURES]
    ]


def feature_name(place: int, names: Sequence[str] | None) -> str:
    """What to call a feature."""
    return printable(str(names[place])[:200]) if names is not None and place < len(names) else f"feature {place}"


def _reduced(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of blocks, so that neither side is longer than `SIDE`."""
    for axis in (0, 1):
        length = plane.shape[axis]
        starts = np.arange(0, length, -(-length // SIDE))
        sums = np.add.reduceat(plane, starts, axis=axis)
        counts = np.diff(np.append(starts, length))
        plane = sums / (counts[:, None] if axis == 0 else counts)
    return plane
