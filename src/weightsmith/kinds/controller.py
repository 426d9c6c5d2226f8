"""What `apply` returns: which weight is of which kind and why, and the work to do after each optimizer step."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from weightsmith.errors import InputError
from weightsmith.kinds.selection import matrices
from weightsmith.kinds.site import Site
from weightsmith.penalties import Penalty


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


class Upkeep:
    """What a kind does outside the forward pass. Each part does nothing unless the kind says otherwise."""

    def begin(self, sites: Sequence[Site]) -> None:
        """Before the first step."""

    def collect(self, sites: Sequence[Site]) -> None:
        """After the backward pass, before gradients are clipped and used."""

    def step(self, sites: Sequence[Site], progress: float) -> None:
        """After each optimizer step."""

    def attach(self, optimizer: Optimizer) -> None:
        """Get to know the optimizer whose state belongs to the weights."""

    def penalty(self, sites: Sequence[Site]) -> Tensor | None:
        """What is to be added to the loss; None for nothing, ever."""
        return None

    def penalties(self, sites: Sequence[Site]) -> Mapping[str, Penalty]:
        """What the optimizer is to apply as exact proximal steps, by weight."""
        return {}

    def settled(self, progress: float) -> bool:
        """Whether weights are by now what they are to be in the end."""
        return True

    def state_dict(self) -> dict[str, Any]:
        """What resuming needs, beyond parameters and buffers."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any], sites: Sequence[Site]) -> None:
        """Continue from there."""


@dataclass(frozen=True)
class AfterStep(Upkeep):
    """Upkeep that is one function, called at the beginning and after each step.

    Attributes:
        call: takes the sites and the share of training that is over.
    """

    call: Callable[[Sequence[Site], float], None]

    def begin(self, sites: Sequence[Site]) -> None:
        """As after a step at the start of training."""
        self.call(sites, 0.0)

    def step(self, sites: Sequence[Site], progress: float) -> None:
        """Call the function."""
        self.call(sites, progress)


@dataclass
class KindController:
    """Keeps the weights of a model to their kind while a loop trains it.

    Call `step` after every `optimizer.step()` and before the gradients are cleared, and `attach` the optimizer once.

    Attributes:
        kind: a name from `KINDS`.
        assignments: one per matrix of the model, those that stay continuous too.
        sites: the weights that are of the kind.
        progress: share of training after the last step.
    """

    kind: str
    assignments: Sequence[Assignment]
    sites: Sequence[Site]
    _upkeep: Upkeep = field(repr=False)
    progress: float = 0.0
    _optimizer: Optimizer | None = field(default=None, repr=False)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._optimizer is not None:  # copies of an optimizer come without its hooks
            self._optimizer.register_step_pre_hook(_Collect(self))

    def attach(self, optimizer: Optimizer) -> "KindController":
        """Tell which optimizer moves the weights, so that its momentum never revives a weight that is held at 0.

        Its state of masked weights is set to 0 whenever masks change, and it never sees the gradients that some methods
        need of them. Without it the weights are exact all the same, but one that grows back starts with the momentum it
        had.

        Args:
            optimizer: the bare one, wrappers of Fabric or a scaler aside.

        Returns:
            The controller itself.

        Raises:
            InputError: not an optimizer, or one that moves none of the weights.
        """
        if not isinstance(optimizer, Optimizer):
            raise InputError(f"attach takes a torch.optim.Optimizer, not a {type(optimizer).__name__}")
        moved = {id(tensor) for group in optimizer.param_groups for tensor in group["params"]}
        if not any(id(site.stored) in moved for site in self.sites):
            raise InputError(f"the optimizer moves none of the {self.kind} weights: build it for the same model")
        self._optimizer = optimizer
        self._upkeep.attach(optimizer)
        optimizer.register_step_pre_hook(_Collect(self))
        return self

    def collect(self) -> None:
        """Read the gradients that the next `step` needs, and leave those that the optimizer should see.

        An attached optimizer calls it by itself; call it before gradients are clipped, so that they are clipped as
        they will be used.
        """
        with torch.no_grad():
            self._upkeep.collect(self.sites)

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
        self._upkeep.step(self.sites, self.progress)

    def penalty(self) -> Tensor:
        """A differentiable scalar to add to the loss (`l0`, `spred`); 0 for all other kinds and methods."""
        term = self._upkeep.penalty(self.sites)
        if term is not None:
            return term
        return torch.zeros((), device=next((site.stored.device for site in self.sites), None))

    @property
    def has_penalty(self) -> bool:
        """Whether there is anything to add to the loss."""
        with torch.no_grad():
            return self._upkeep.penalty(self.sites) is not None

    @property
    def penalties(self) -> dict[str, Penalty]:
        """Exact proximal penalties by weight, for `weightsmith.optim.build` (methods `l1` and `group_lasso`)."""
        return dict(self._upkeep.penalties(self.sites))

    @property
    def settled(self) -> bool:
        """Whether weights are by now what they are to be: those pruned gradually once all zeros are there."""
        return self._upkeep.settled(self.progress)

    def describe(self) -> list[str]:
        """One line per weight: its kind and why."""
        return [str(assignment) for assignment in self.assignments]

    def __str__(self) -> str:
        return "\n".join(self.describe())

    def state_dict(self) -> dict[str, Any]:
        """What resuming needs beyond the model's own `state_dict`, which holds latent weights and masks."""
        return {"kind": self.kind, "progress": self.progress, **self._upkeep.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken; load the model's own state as well.

        Raises:
            InputError: the state of another kind, or of another way to it.
        """
        if state["kind"] != self.kind:
            raise InputError(f"this state is of kind '{state['kind']}', and the model's weights are {self.kind}")
        self._upkeep.load_state_dict(state, self.sites)
        self.progress = float(state["progress"])


@dataclass(frozen=True, eq=False)
class _Collect:
    """An optimizer's hook; an object, so that copies of a controller and its optimizer belong together."""

    controller: KindController

    def __call__(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        self.controller.collect()


def control(
    model: nn.Module,
    kind: str,
    sites: list[Site],
    left: dict[str, str],
    values: str,
    upkeep: Upkeep | Callable[[Sequence[Site], float], None],
) -> KindController:
    """A controller over the sites of a kind, begun; `left` says why each other matrix is continuous."""
    chosen = {site.name for site in sites}
    assignments = [
        Assignment(info.name, kind, values)
        if info.name in chosen
        else Assignment(info.name, "continuous", left[info.name])
        for info in matrices(model)
        if info.name in chosen or info.name in left
    ]
    work = upkeep if isinstance(upkeep, Upkeep) else AfterStep(upkeep)
    work.begin(sites)
    return KindController(kind, assignments, sites, work)
