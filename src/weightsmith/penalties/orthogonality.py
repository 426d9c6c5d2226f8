"""Orthogonality: rows (or columns) that stay close to orthonormal."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from weightsmith.penalties.penalty import check_dimensions, check_strength


@dataclass(frozen=True)
class Orthogonality:
    """`strength * ||W W^T - I||_F^2` over the weight as a matrix of rows (filters, for convolutions).

    A matrix with more rows than columns cannot have orthonormal rows; there the columns are used, `||W^T W - I||_F^2`
    (Bansal et al. 2018, "Can we gain more from orthogonality regularizations"). It has no closed proximal step: add
    `value` to the loss.

    Raises:
        InputError: where the strength is not a finite number of at least 0.
    """

    strength: float
    dimensions: ClassVar[int] = 2

    def __post_init__(self) -> None:
        check_strength(self.strength, "Orthogonality strength")

    def value(self, weight: Tensor) -> Tensor:
        """The loss term, 0 where the shorter side of the matrix is orthonormal."""
        check_dimensions(weight, self.dimensions, self)
        matrix = weight.flatten(1)
        if matrix.shape[0] > matrix.shape[1]:
            matrix = matrix.T
        identity = torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
        return self.strength * (matrix @ matrix.T - identity).square().sum()
