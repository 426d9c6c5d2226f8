"""Group lasso: whole rows, columns or filters vanish together."""

from dataclasses import dataclass

import torch
from torch import Tensor

from weightsmith.names import choose
from weightsmith.penalties.groups import GROUPINGS, Grouping, expand_step, group_view, secular_root
from weightsmith.penalties.penalty import Step, check_dimensions, check_strength


@dataclass(frozen=True)
class GroupLasso:
    """`strength * sum over groups of sqrt(group size) * norm(group)`.

    The root of the size keeps large groups from being preferred (Yuan & Lin 2006, "Model selection and estimation in
    regression with grouped variables"; for networks Wen et al. 2016, "Learning structured sparsity").

    Attributes:
        strength: the factor of the penalty.
        by: `rows` (output units), `columns` (input features or channels) or `filters` (of convolutions).

    Raises:
        InputError: where the strength is not a finite number of at least 0, or the grouping is unknown.
    """

    strength: float
    by: Grouping = "rows"

    def __post_init__(self) -> None:
        check_strength(self.strength, "GroupLasso strength")
        choose(self.by, GROUPINGS, "grouping of GroupLasso")

    @property
    def dimensions(self) -> int:
        """Fewest dimensions that a weight must have."""
        return 3 if self.by == "filters" else 2

    def group_norms(self, weight: Tensor) -> Tensor:
        """Norm of each group, of shape `[groups]`.

        Raises:
            InputError: where the weight has too few dimensions for the grouping.
        """
        check_dimensions(weight, self.dimensions, self)
        norms: Tensor = torch.linalg.vector_norm(group_view(weight, self.by).flatten(1), dim=1)
        return norms

    def group_strength(self, weight: Tensor) -> float:
        """The factor of each group's norm: `strength * sqrt(group size)`."""
        groups = weight.shape[1 if self.by == "columns" else 0]
        return float(self.strength * (weight.numel() / max(groups, 1)) ** 0.5)

    def value(self, weight: Tensor) -> Tensor:
        """The loss term; the subgradient of a group of zeros is taken as 0."""
        return self.group_strength(weight) * self.group_norms(weight).sum()

    @torch.no_grad()
    def proximal_(self, weight: Tensor, step: Step) -> None:
        """Shrink the norm of each group in place, groups below the threshold to exact zeros.

        With one step for all it is `group * max(1 - step * s / norm(group), 0)`, where s is `group_strength`. With a
        step per element, the optimality condition `(w - u) / step = s * u / norm(u)` gives
        `u = w * r / (r + s * step)`, where `r = norm(u)` solves one scalar equation a group (`secular_root`), and
        `u = 0` where `norm(w / step) <= s`. Both are exact, so a fixed point of optimizer and penalty satisfies the
        group lasso's optimality condition in any diagonal metric.
        """
        check_dimensions(weight, self.dimensions, self)
        strength = self.group_strength(weight)
        if strength == 0 or weight.numel() == 0:
            return
        view = group_view(weight.detach(), self.by)
        values = view.flatten(1).double()
        steps = expand_step(step, weight, self.by)
        # Adding zero turns -0 into +0.
        view.copy_((values * _factor(values, steps, strength)).add_(0.0).view(view.shape))


def _factor(values: Tensor, steps: Tensor | float, strength: float) -> Tensor:
    """What each element is multiplied by, of a shape that broadcasts to `[groups, size]`."""
    if not isinstance(steps, Tensor):
        norms = torch.linalg.vector_norm(values, dim=1, keepdim=True)
        return torch.where(norms == 0, 0.0, (1 - steps * strength / norms).clamp_min(0))
    thresholds = steps * strength
    norms = secular_root(values, thresholds, torch.ones_like(thresholds), 1.0)
    return norms / (norms + thresholds)
