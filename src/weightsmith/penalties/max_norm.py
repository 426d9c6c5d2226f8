"""Max-norm: the weights into one unit never get longer than a limit."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from weightsmith.penalties.groups import expand_step, secular_root
from weightsmith.penalties.penalty import Step, check_dimensions, check_strength


@dataclass(frozen=True)
class MaxNorm:
    """The constraint `norm(row) <= limit` on every row, the weights into one output unit.

    Srivastava et al. 2014, "Dropout", section 5.1, use limits of 3 to 4 together with high learning rates. A
    constraint has no loss term: it is applied after each step.

    Attributes:
        limit: largest Euclidean norm of a row (of a whole filter, for convolutions).

    Raises:
        InputError: where the limit is not a finite number above 0.
    """

    limit: float
    dimensions: ClassVar[int] = 2

    def __post_init__(self) -> None:
        check_strength(self.limit, "MaxNorm limit", positive=True)

    @torch.no_grad()
    def proximal_(self, weight: Tensor, step: Step) -> None:
        """Project the rows in place onto the ball of radius `limit`.

        With one step for all, whatever its size, rows that are too long are scaled. With a step per element the
        projection is the nearest point in that metric, `u = w / (1 + nu * step)` with the multiplier nu that makes
        `norm(u)` equal to the limit, so that the constrained optimum is a fixed point of optimizer and penalty.
        """
        check_dimensions(weight, self.dimensions, self)
        if weight.numel() == 0:
            return
        view = weight.detach()
        values = view.flatten(1).double()
        too_long = torch.linalg.vector_norm(values, dim=1) > self.limit
        if too_long.any():
            steps = expand_step(step, weight, "rows")
            values = values[too_long]
            view[too_long] = (
                self._shorten(values, steps[too_long] if isinstance(steps, Tensor) else steps)
                .to(view.dtype)
                .view(-1, *view.shape[1:])
            )

    def _shorten(self, values: Tensor, steps: Tensor | float) -> Tensor:
        if not isinstance(steps, Tensor):
            norms: Tensor = torch.linalg.vector_norm(values, dim=1, keepdim=True)
            return values * (self.limit / norms)
        multiplier = secular_root(values, torch.ones_like(steps), steps, self.limit)
        return values / (1 + multiplier * steps)
