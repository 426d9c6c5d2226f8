"""What a model can be asked: its answers, what they depend on, and what its units like best."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from weightsmith.errors import InputError
from weightsmith.web.explained.model import Explained
from weightsmith.web.explained.share import SHARE
from weightsmith.web.work import Check

if TYPE_CHECKING:
    from torch import Tensor

    from weightsmith.explain import Attribution, Maximized

ANSWERED = 20_000
"""Rows that the model is asked about for the gallery: the first ones."""

BATCH = 256
"""Rows that pass through the model between two looks at whether anybody still waits."""


@dataclass(frozen=True, eq=False)
class Answers:
    """What the model says of some rows.

    Attributes:
        rows: int64, which ones.
        truth: int64[rows] classes, or float64[rows, outputs] in original units.
        predicted: float64[rows, classes] probabilities, or values like `truth`.
        is_classes: which of the two.
        order: int64, places among them in the order in which mistakes are shown: the surest wrong ones, those whose
            output is NaN last, or for values all rows, those that are furthest off first.
    """

    rows: NDArray[np.int64]
    truth: NDArray[Any]
    predicted: NDArray[np.float64]
    is_classes: bool
    order: NDArray[np.int64]

    @property
    def nbytes(self) -> int:
        """Of all arrays."""
        return self.rows.nbytes + self.truth.nbytes + self.predicted.nbytes + self.order.nbytes


def answers(asked: Explained, rows: Sequence[int], still_wanted: Check) -> Answers:
    """What the model says of some rows.

    Raises:
        InputError: a row that is not there.
    """
    import torch

    chosen = _chosen(asked, rows)
    count, parts = len(chosen), []
    with SHARE.taken(), torch.no_grad():
        for batch in torch.split(chosen, BATCH):
            still_wanted()
            parts.append(asked.model(asked.rows.batch(batch)[0]).double())
    outputs, targets = torch.cat(parts).reshape(count, -1), asked.rows.targets[chosen]
    if asked.data.task == "regression":
        scaling = asked.data.target_standardization
        known = targets.double().reshape(count, -1)
        if scaling is not None:
            outputs, known = scaling.invert(outputs), scaling.invert(known)
        off = (outputs - known).square().sum(dim=1)
        order = torch.argsort(torch.nan_to_num(off, nan=float("inf")), descending=True, stable=True)
        return Answers(chosen.numpy(), known.numpy(), outputs.numpy(), False, order.numpy())
    shares = _probabilities(outputs)
    classes = targets.reshape(-1).long()
    said, sure = shares.argmax(dim=1), torch.nan_to_num(shares.max(dim=1).values, nan=0.0)
    wrong = torch.nonzero((said != classes) | shares.isnan().any(dim=1)).reshape(-1)
    order = wrong[torch.argsort(sure[wrong], descending=True, stable=True)]
    return Answers(chosen.numpy(), classes.numpy(), shares.numpy(), True, order.numpy())


def inputs_of(asked: Explained, rows: Sequence[int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Rows as the model gets them and in their original units, each float32[rows, *input_shape].

    Raises:
        InputError: a row that is not there.
    """
    inputs, _ = asked.rows.batch(_chosen(asked, rows))
    scaling = asked.data.standardization
    original = inputs if scaling is None else scaling.invert(inputs)
    return inputs.numpy(), original.float().numpy()


def attributions(
    asked: Explained, method: str, rows: Sequence[int], target: int | None, layer: str | None, still_wanted: Check
) -> "list[Attribution]":
    """What the output of each row depends on, a record a row.

    Raises:
        InputError: a method, target, layer or row that this model does not have.
    """
    from weightsmith import explain

    if method not in asked.methods:
        raise InputError(f"{method} does not apply to this model: use {' or '.join(asked.methods)}")
    if layer is not None and method != "grad-cam":
        raise InputError(f"only grad-cam looks from a layer: {method} explains the input itself")
    inputs, _ = inputs_of(asked, rows)
    found = []
    model = copy.deepcopy(asked.model)  # hooks and modes are set while it is asked, and others may ask as well
    with SHARE.taken():
        for place in range(len(inputs)):
            still_wanted()
            row = inputs[place : place + 1]
            if method == "grad-cam":
                found.append(explain.grad_cam(model, row, target, layer=layer))
            elif method == "saliency":
                found.append(explain.saliency(model, row, target))
            else:
                found.append(explain.integrated_gradients(model, row, target))
    return found


def maximized(asked: Explained, layer: str, units: Sequence[int], still_wanted: Check) -> "Maximized":
    """Inputs that excite units of a layer; the same every time.

    Raises:
        InputError: a layer or unit that this model does not have.
    """
    from weightsmith import explain

    model = copy.deepcopy(asked.model)
    with SHARE.taken():
        return explain.maximize_activation(
            model, asked.data.input_shape, units, layer=layer, progress=lambda *_: still_wanted()
        )


def _chosen(asked: Explained, rows: Sequence[int]) -> "Tensor":
    import torch

    wrong = [row for row in rows if not 0 <= row < len(asked.rows)]
    if wrong or not len(rows):
        what = f"there is no row {wrong[0]}" if wrong else "no row is named"
        raise InputError(f"{what}: the {asked.split} set has {len(asked.rows):,}")
    return torch.tensor(list(rows), dtype=torch.int64)


def _probabilities(outputs: "Tensor") -> "Tensor":
    import torch

    if outputs.shape[1] > 1:
        return torch.softmax(outputs, dim=1)
    second = torch.sigmoid(outputs)
    return torch.cat([1 - second, second], dim=1)
