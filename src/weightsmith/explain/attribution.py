"""What an explanation is: numbers over the input, with all that is needed to draw and judge them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Attribution:
    """How much each value of some inputs matters to one output of a model.

    Attributes:
        method: `saliency`, `integrated gradients` or `Grad-CAM`.
        inputs: float32[rows, *input_shape], what the model was given.
        values: float32 of the same shape (Grad-CAM: without channels); signed where the method is.
        targets: int64[rows], the output explained for each row.
        outputs: float32[rows], the model's value at that output.
        gap: float32[rows], for integrated gradients: how much of output(input) - output(baseline) the values miss; None
            for other methods.
        layer: the layer that Grad-CAM looked at, else None.
    """

    method: str
    inputs: NDArray[np.float32]
    values: NDArray[np.float32]
    targets: NDArray[np.int64]
    outputs: NDArray[np.float32]
    gap: NDArray[np.float32] | None = None
    layer: str | None = None

    @property
    def signed(self) -> bool:
        """Whether values may speak against the output as well as for it."""
        return self.method == "integrated gradients"

    def strongest(self, count: int = 10) -> list[tuple[int, float]]:
        """Positions of one flat input with the greatest mean magnitude over the rows, and that magnitude."""
        means = np.abs(self.values.reshape(len(self.values), -1)).mean(axis=0, dtype=np.float64)
        order = np.argsort(-means, kind="stable")[:count]
        return [(int(index), float(means[index])) for index in order]

    def to_json(self) -> dict[str, Any]:
        """Plain values, without the inputs and values themselves."""
        return {
            "method": self.method,
            "layer": self.layer,
            "targets": self.targets.tolist(),
            "outputs": self.outputs.tolist(),
            "gap": None if self.gap is None else self.gap.tolist(),
            "strongest": [{"position": position, "mean": mean} for position, mean in self.strongest()],
        }


@dataclass(frozen=True, eq=False)
class Maximized:
    """Inputs made to excite units as far as they go.

    Attributes:
        layer: the layer of the units; empty for the model's output.
        units: int64[k], which units.
        inputs: float32[k, *input_shape], what was found.
        before: float32[k], each unit's value at the start.
        after: float32[k], its value at the input found.
    """

    layer: str
    units: NDArray[np.int64]
    inputs: NDArray[np.float32]
    before: NDArray[np.float32]
    after: NDArray[np.float32]

    def to_json(self) -> dict[str, Any]:
        """Plain values, without the inputs themselves."""
        return {
            "method": "activation maximization",
            "layer": self.layer,
            "units": self.units.tolist(),
            "before": self.before.tolist(),
            "after": self.after.tolist(),
        }
