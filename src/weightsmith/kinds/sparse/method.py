"""What a way to sparse weights is: its options, and what it does to masks and gradients."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from torch import Tensor, nn

from weightsmith.errors import InputError
from weightsmith.kinds.graph import trace
from weightsmith.kinds.site import Site
from weightsmith.kinds.sparse.mask import Mask
from weightsmith.kinds.structured.spaces import Space, spaces_of
from weightsmith.penalties import Penalty


@dataclass(frozen=True)
class Evidence:
    """What a method may look at before training.

    Attributes:
        model: the whole model, its weights masked by nothing yet.
        samples: batches, each a tensor, a tuple of arguments or a dictionary of keyword arguments of the model.
        loss: takes the model and returns a scalar loss on some data.
    """

    model: nn.Module
    samples: Iterable[Any] | None = None
    loss: Callable[[nn.Module], Tensor] | None = None

    @cached_property
    def spaces(self) -> dict[str, Space] | None:
        """The channels that each layer puts out, by its path; None where the model cannot be traced."""
        try:
            spaces = spaces_of(trace(self.model))
        except InputError:
            return None
        return {node.path: space for space in spaces for node in space.producers}


@dataclass
class Clock:
    """Where a training stands, as methods see it; with the parameters and buffers, all that resuming needs.

    Attributes:
        steps: of the controller so far.
        progress: share of training that is over.
        pace: share that the last step took.
        updates: of the masks by methods that rewire.
        due: whether the next step is to update them.
        level: share of the final sparsity that masks have reached, for methods that prune gradually.
        gradients: what was collected for the step at hand, by weight.
    """

    steps: int = 0
    progress: float = 0.0
    pace: float = 0.0
    updates: int = 0
    due: bool = False
    level: float = 0.0
    gradients: dict[str, Tensor] = field(default_factory=dict, repr=False)

    def tick(self, progress: float) -> None:
        """Count a step."""
        self.steps += 1
        self.pace = max(progress - self.progress, 0.0)
        self.progress = progress

    def reaches(self, every: float) -> bool:
        """Whether the next step completes an interval: a share of training below 1, else a number of steps."""
        if every >= 1:
            return (self.steps + 1) % int(every) == 0
        # the tolerance makes a multiple of the interval count as reached in spite of rounding
        return (self.progress + self.pace + 1e-9) // every > (self.progress + 1e-9) // every


class Sparsifier(ABC):
    """The options of one method, checked, and what it does; what changes with training is in the clock and buffers."""

    @abstractmethod
    def __str__(self) -> str:
        """Which values a weight takes: one line."""

    def refuse(self, site: Site, evidence: Evidence) -> str:
        """Why the method leaves a weight continuous; empty where it does not."""
        return ""

    def check(self, evidence: Evidence) -> None:  # noqa: B027 - most methods do nothing here
        """Refuse to begin without what the method needs.

        Raises:
            InputError: naming it.
        """

    def parametrize(self, site: Site) -> nn.Module:
        """The parametrization of a weight."""
        return Mask(site.stored)

    @abstractmethod
    def begin(self, sites: Sequence[Site], evidence: Evidence, clock: Clock) -> None:
        """Set the first masks."""

    def collect(self, sites: Sequence[Site], clock: Clock) -> None:  # noqa: B027 - nor here
        """Read gradients before the optimizer does."""

    def step(self, sites: Sequence[Site], clock: Clock) -> bool:
        """Change masks after an optimizer step; whether any changed."""
        return False

    def resume(self, sites: Sequence[Site], clock: Clock) -> None:  # noqa: B027 - nor here
        """Set up what neither the clock nor buffers hold."""

    def settled(self, progress: float) -> bool:
        """Whether all zeros are there at a share of training."""
        return True

    def penalty(self, sites: Sequence[Site]) -> Tensor | None:
        """What is added to the loss; None for methods that never add anything."""
        return None

    def penalties(self, sites: Sequence[Site]) -> Mapping[str, Penalty]:
        """Proximal penalties by weight."""
        return {}
