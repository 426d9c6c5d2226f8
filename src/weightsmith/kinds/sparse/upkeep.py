"""What sparse weights need beside the forward pass: masks on schedule, exact zeros, momentum without the dead."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from weightsmith.errors import InputError
from weightsmith.kinds.controller import Upkeep
from weightsmith.kinds.site import Site
from weightsmith.kinds.sparse.mask import Mask, clear_masked, clear_momentum
from weightsmith.kinds.sparse.method import Clock, Evidence, Sparsifier
from weightsmith.penalties import Penalty


@dataclass
class SparseUpkeep(Upkeep):
    """Runs one method.

    Attributes:
        name: of the method.
        method: its options.
        evidence: what it may look at in the beginning; forgotten afterwards.
        clock: where the training stands.
        optimizer: whose state is kept clear of masked weights; None where none is known.
    """

    name: str
    method: Sparsifier
    evidence: Evidence | None
    clock: Clock = field(default_factory=Clock)
    optimizer: Optimizer | None = field(default=None, repr=False)

    def begin(self, sites: Sequence[Site]) -> None:
        """Set the first masks."""
        assert self.evidence is not None
        self.method.begin(sites, self.evidence, self.clock)
        self.evidence = None
        clear_masked(_masked(sites))

    def attach(self, optimizer: Optimizer) -> None:
        """Keep the optimizer's state clear from now on."""
        self.optimizer = optimizer

    def collect(self, sites: Sequence[Site]) -> None:
        """Let the method read gradients."""
        self.method.collect(sites, self.clock)

    def step(self, sites: Sequence[Site], progress: float) -> None:
        """Count the step, update masks where that is due, and put everything behind them to 0."""
        if not self.clock.gradients:
            self.method.collect(sites, self.clock)
        self.clock.tick(progress)
        changed = self.method.step(sites, self.clock)
        self.clock.gradients = {}
        clear_masked(_masked(sites))
        if self.optimizer is not None and (changed or self.clock.steps == 1):
            # the first step counts as a change: an optimizer may have moved the weights before they were masked
            clear_momentum(_masked(sites), self.optimizer)

    def penalty(self, sites: Sequence[Site]) -> Tensor | None:
        """The method's term of the loss."""
        return self.method.penalty(sites)

    def penalties(self, sites: Sequence[Site]) -> Mapping[str, Penalty]:
        """The method's proximal penalties."""
        return self.method.penalties(sites)

    def settled(self, progress: float) -> bool:
        """Whether the method has made its zeros."""
        return self.method.settled(progress)

    def state_dict(self) -> dict[str, Any]:
        """The clock, as plain numbers."""
        clock = self.clock
        return {
            "method": self.name,
            "steps": clock.steps,
            "pace": clock.pace,
            "updates": clock.updates,
            "due": clock.due,
            "level": clock.level,
        }

    def load_state_dict(self, state: Mapping[str, Any], sites: Sequence[Site]) -> None:
        """Continue from there.

        Raises:
            InputError: the state of another method.
        """
        if state.get("method") != self.name:
            raise InputError(f"this state is of method '{state.get('method')}', and the weights use '{self.name}'")
        self.clock = Clock(
            int(state["steps"]),
            float(state["progress"]),
            float(state["pace"]),
            int(state["updates"]),
            bool(state["due"]),
            float(state["level"]),
        )
        self.method.resume(sites, self.clock)


def _masked(sites: Sequence[Site]) -> list[Site]:
    return [site for site in sites if any(isinstance(step, Mask) for step in site.chain)]
