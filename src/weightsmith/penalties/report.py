"""What penalties left: exact zeros per weight, and the input features that survive."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from weightsmith.errors import InputError

Values = Tensor | npt.NDArray[Any]


@dataclass(frozen=True)
class Zeros:
    """How many elements of one weight are exactly zero (of either sign)."""

    name: str
    size: int
    zeros: int

    @property
    def share(self) -> float:
        """Zeros as a share of all elements; 0 for an empty weight."""
        return self.zeros / self.size if self.size else 0.0


@dataclass(frozen=True)
class Feature:
    """One input feature as the first weight matrix sees it.

    Attributes:
        index: its column.
        name: its name where one was given, else the index as text.
        importance: Euclidean norm of its column: how far the first layer's units can move with the feature.
        survives: whether any element of its column is not zero.
    """

    index: int
    name: str
    importance: float
    survives: bool


def count_zeros(weights: Iterable[tuple[str, Values]]) -> list[Zeros]:
    """Count exact zeros per weight, in the order given; NaN is not zero.

    Args:
        weights: names and tensors or arrays of any shape, such as `model.named_parameters()`.
    """
    counted = ((name, torch.as_tensor(values).detach()) for name, values in weights)
    return [Zeros(name, values.numel(), values.numel() - int(values.count_nonzero())) for name, values in counted]


def rank_features(weight: Values, names: Sequence[str] | None = None) -> list[Feature]:
    """The input features of a first layer, most important first; equal ones in the order of their columns.

    Column norms compare features only where these have one scale: standardize the inputs.

    Args:
        weight: matrix of shape `[units, features]`; of a convolution `[filters, channels, ...]`, each channel counts as
            a feature.
        names: one name per feature.

    Raises:
        InputError: where the weight has fewer than two dimensions, or the names do not match its columns.
    """
    matrix = torch.as_tensor(weight).detach()
    if matrix.ndim < 2:
        raise InputError(f"a first weight matrix has at least 2 dimensions, got shape {tuple(matrix.shape)}")
    columns = matrix.transpose(0, 1).flatten(1)
    if names is not None and len(names) != len(columns):
        raise InputError(f"names must have one entry per feature: {len(columns)} columns, {len(names)} names")
    norms = torch.linalg.vector_norm(columns.double(), dim=1).tolist()
    survive = (columns != 0).any(dim=1).tolist()
    labels = names if names is not None else [str(index) for index in range(len(columns))]
    features = [Feature(i, *entry) for i, entry in enumerate(zip(labels, norms, survive, strict=True))]
    # NaN sorts first: a column that is not a number needs a look before all others.
    return sorted(features, key=lambda feature: (feature.importance == feature.importance, -feature.importance))
