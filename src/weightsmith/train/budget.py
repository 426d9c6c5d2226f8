"""When a training ends: its budget in epochs, steps or seconds, and early stopping."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from weightsmith.train.recipe.fields import Budget


@dataclass
class Position:
    """Where a training is.

    Attributes:
        epoch: complete epochs.
        batch: batches done in the epoch at hand.
        step: updates of the weights in all.
        seconds: time spent training, over all sittings of a resumed run.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    seconds: float = 0.0

    def state_dict(self) -> dict[str, Any]:
        """All of it as plain values."""
        return asdict(self)


def spent(budget: Budget, position: Position) -> bool:
    """Whether the budget is used up; seconds are judged by the caller's clock in `position.seconds`."""
    return (
        (budget.epochs is not None and position.epoch >= budget.epochs)
        or (budget.steps is not None and position.step >= budget.steps)
        or (budget.seconds is not None and position.seconds >= budget.seconds)
    )


def planned_steps(budget: Budget, steps_per_epoch: int) -> int | None:
    """Number of updates the budget allows; None where it is in seconds."""
    if budget.steps is not None:
        return budget.steps
    return None if budget.epochs is None else budget.epochs * steps_per_epoch


def progress_share(budget: Budget, step: int, seconds: float, steps_per_epoch: int) -> float:
    """Share of the budget used up at a step and after so many seconds, from 0 to 1."""
    steps = planned_steps(budget, steps_per_epoch)
    return min(step / steps if steps else seconds / (budget.seconds or math.inf), 1.0)


@dataclass
class Best:
    """The best validation loss so far, and how many epochs have passed without a better one.

    Weights that are pruned gradually are better before they are sparse: once they are, what came before counts no more.

    Attributes:
        loss: the best validation loss; infinite before the first epoch.
        step: the step it was measured at.
        epochs_since: epochs since, counted from when the weights are of their kind.
        settled: whether the best weights are.
    """

    loss: float = math.inf
    step: int | None = None
    epochs_since: int = 0
    settled: bool = False

    def update(self, loss: float, step: int, settled: bool = True) -> bool:
        """Take in an epoch; whether its loss is the best so far.

        Args:
            loss: of the validation rows.
            step: at the epoch's end.
            settled: whether the weights are of their kind by now.
        """
        if (settled and not self.settled) or (loss < self.loss and settled == self.settled):
            self.loss, self.step, self.epochs_since, self.settled = loss, step, 0, settled
            return True
        self.epochs_since += settled
        return False

    def exhausted(self, patience: int | None) -> bool:
        """Whether early stopping with this patience (in epochs; None: never) ends the training."""
        return patience is not None and self.epochs_since >= patience

    def state_dict(self) -> dict[str, Any]:
        """All of it as plain values."""
        return asdict(self)
