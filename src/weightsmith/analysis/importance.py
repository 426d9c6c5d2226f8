"""Which inputs a first layer listens to."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from weightsmith.analysis.matrix import Held, kernel, norms
from weightsmith.errors import InputError


@dataclass(frozen=True)
class Importance:
    """Inputs ranked by how strongly a layer weighs them.

    Attributes:
        scores: float64[inputs], the norm of each input's outgoing weights, times its scale where one was given.
        names: one name for each input.
        order: int64[inputs], the inputs from the strongest to the weakest; equal ones in their own order.
        unused: number of inputs whose score is exactly zero.
    """

    scores: NDArray[np.float64]
    names: tuple[str, ...]
    order: NDArray[np.int64]
    unused: int

    def top(self, count: int = 10) -> list[tuple[str, float]]:
        """Name and score of the `count` strongest inputs."""
        return [(self.names[i], float(self.scores[i])) for i in self.order[:count]]


def input_importance(
    what: Held,
    names: Sequence[str] | None = None,
    scale: NDArray[np.float64] | None = None,
    *,
    file_format: str = "",
) -> Importance:
    """Importance of the inputs of a first layer: the Euclidean norm of each input's outgoing weights.

    It is the quantity that a group lasso over inputs drives to zero (Yuan and Lin, 2006; Scardapane et al., 2017).
    It compares inputs only where they have the same spread: for inputs that were not standardized give their standard
    deviations as `scale`.

    Args:
        what: weights of a first layer, `(outputs, inputs)` or a convolution `(filters, channels, ...)`, whose inputs
            are its channels; or a weight of a source. NaN and Inf count as zero.
        names: one name for each input; by default `0`, `1`, ...
        scale: float64[inputs], positive.
        file_format: of the source that the weight comes from; tells where TFLite keeps a convolution's inputs.

    Raises:
        InputError: where the array has fewer than two dimensions, or `names` or `scale` do not fit its inputs.
    """
    array = kernel(what, file_format)
    if array.ndim < 2:
        raise InputError(f"input importance needs a weight of shape (outputs, inputs, ...), not {array.shape}")
    by_input = np.moveaxis(array, 1, 0).reshape(array.shape[1], -1) if array.size else np.zeros((array.shape[1], 0))
    importance = norms(by_input).rows if array.ndim > 2 else norms(array).columns
    inputs = len(importance)
    for given, noun in ((names, "names"), (scale, "scales")):
        if given is not None and len(given) != inputs:
            raise InputError(
                f"{len(given)} {noun} were given for the {inputs} inputs of a weight of shape {array.shape}"
            )
    if scale is not None:
        importance = importance * scale
    labels = tuple(names) if names is not None else tuple(str(i) for i in range(inputs))
    order = np.argsort(-importance, kind="stable").astype(np.int64)
    return Importance(importance, labels, order, int(np.count_nonzero(importance == 0)))
