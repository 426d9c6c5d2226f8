"""What a training returns."""

from dataclasses import dataclass, field
from typing import Any

from torch import nn

from weightsmith.analysis.monitor import Diagnosis
from weightsmith.train.evaluate import Scores
from weightsmith.train.loop import Ending
from weightsmith.train.report import WeightReport


@dataclass(frozen=True)
class Measurement:
    """The weights of one step and how well they do.

    Attributes:
        step: the step.
        validation: scores on the validation rows (on the training rows where there are none).
        test: scores on the test rows, or None where there are none.
    """

    step: int
    validation: Scores
    test: Scores | None

    def numbers(self, metric: str, prefix: str = "") -> dict[str, float]:
        """The scores by the names they have in a run's summary: `test_accuracy`, `last_val_loss`, ..."""
        found = {f"{prefix}val_loss": self.validation.loss, f"{prefix}val_{metric}": self.validation.metric}
        if self.test is not None:
            found |= {f"{prefix}test_loss": self.test.loss, f"{prefix}test_{metric}": self.test.metric}
        return found


@dataclass(frozen=True, eq=False)
class TrainResult:
    """One training that has come to its end, or was interrupted.

    Attributes:
        run_id: its run in the store; None where nothing was recorded.
        ending: why it stopped: `budget`, `early_stopping`, `interrupted`, `non_finite`.
        verdict: the monitor's last word; None where no epoch ended.
        metrics: scores of the kept weights by the names they have in the run's summary (`test_accuracy`, `val_loss`,
            ...), those of the last weights with `last_` before; empty after an interrupt.
        best: the weights of the lowest validation loss; None where no epoch ended, and after an interrupt.
        last: the weights of the last step; None likewise, and where they are not finite.
        epochs: complete epochs.
        steps: updates of the weights.
        seconds: spent training, over all sittings of a resumed run.
        model: the trained model, on the CPU, in evaluation mode, with the kept weights: the best, or the last
            where the recipe's `budget.keep` says so or after an interrupt.
        report: zeros, optimality and surviving features.
        recorder: what recording cost (`RecorderCost.to_json`); empty where nothing was recorded.
        checkpoint_seconds: spent on checkpoints in this sitting.
        checkpoints: number of them.
    """

    run_id: str | None
    ending: Ending
    verdict: Diagnosis | None
    metrics: dict[str, float]
    best: Measurement | None
    last: Measurement | None
    epochs: int
    steps: int
    seconds: float
    model: nn.Module = field(repr=False)
    report: WeightReport = field(repr=False)
    recorder: dict[str, Any] = field(repr=False)
    checkpoint_seconds: float = 0.0
    checkpoints: int = 0

    @property
    def zeros(self) -> dict[str, float]:
        """Share of exact zeros of each weight."""
        return {zeros.name: zeros.share for zeros in self.report.zeros}
