"""What `apply` returns: which weight is of which kind and why, and the work to do after each optimizer step."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

from torch import nn

from weightsmith.errors import InputError
from weightsmith.kinds.selection import matrices
from weightsmith.kinds.site import Site


@dataclass(frozen=True)
class Assignment:
    """The kind of one weight.

    Attributes:
        weight: its name.
        kind: a name from `KINDS`.
        reason: one line.
    """

    weight: str
    kind: str
    reason: str

    def __str__(self) -> str:
        return f"{self.weight}: {self.kind}, {self.reason}"


@dataclass
class KindController:
    """Keeps the weights of a model to their kind while a loop trains it.

    Call `step` after every `optimizer.step()`.

    Attributes:
        kind: a name from `KINDS`.
        assignments: one per matrix of the model, those that stay continuous too.
        sites: the weights that are of the kind.
        progress: share of training after the last step.
    """

    kind: str
    assignments: Sequence[Assignment]
    sites: Sequence[Site]
    _after_step: Callable[[Sequence[Site], float], None] = field(repr=False)
    progress: float = 0.0

    def step(self, progress: float) -> None:
        """Clamp, project or mask, as the kind demands.

        Args:
            progress: share of the training that is over, from 0 to 1.

        Raises:
            InputError: a share outside 0 to 1.
        """
        if not (isinstance(progress, Real) and math.isfinite(progress) and -1e-6 <= progress <= 1 + 1e-6):
            raise InputError(f"progress is the share of training that is over, from 0 to 1, not {progress!r}")
        self.progress = min(max(float(progress), 0.0), 1.0)
        self._after_step(self.sites, self.progress)

    def describe(self) -> list[str]:
        """One line per weight: its kind and why."""
        return [str(assignment) for assignment in self.assignments]

    def __str__(self) -> str:
        return "\n".join(self.describe())

    def state_dict(self) -> dict[str, Any]:
        """What resuming needs beyond the model's own `state_dict`, which holds latent weights and masks."""
        return {"kind": self.kind, "progress": self.progress}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken; load the model's own state as well.

        Raises:
            InputError: the state of another kind.
        """
        if state["kind"] != self.kind:
            raise InputError(f"this state is of kind '{state['kind']}', and the model's weights are {self.kind}")
        self.progress = float(state["progress"])


def control(
    model: nn.Module,
    kind: str,
    sites: list[Site],
    left: dict[str, str],
    values: str,
    after_step: Callable[[Sequence[Site], float], None],
) -> KindController:
    """A controller over the sites of a kind, after its first step; `left` says why each other matrix is continuous."""
    chosen = {site.name for site in sites}
    assignments = [
        Assignment(info.name, kind, values)
        if info.name in chosen
        else Assignment(info.name, "continuous", left[info.name])
        for info in matrices(model)
        if info.name in chosen or info.name in left
    ]
    controller = KindController(kind, assignments, sites, after_step)
    controller.step(0.0)
    return controller
