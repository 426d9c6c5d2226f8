"""Telling overfitting from underfitting while a training runs, from nothing but its epoch series.

Every rule looks at losses relative to a **baseline**: the loss of the best constant prediction (the class frequencies
or the mean; in our own loop `weightsmith.train.objective.baseline_loss`). A loss of 0 is a perfect fit, the baseline
is "learned nothing". Losses are smoothed by a trailing mean of `WINDOW` epochs. The numbers below are the rules;
change them here only.

Sources: L. Prechelt, "Early Stopping - But When?" (1998), for the generalization loss GL (how far the validation loss
is above its best) and for asking that the training loss still makes progress; I. Goodfellow, Y. Bengio, A. Courville,
"Deep Learning" (2016), section 5.2, for underfitting as a training error that stays high and overfitting as a gap. The
thresholds in units of the baseline and of the noise are our own, set so that the trainings in
`tests/train/test_monitor.py` and noisy synthetic curves get the verdict a person would give.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from math import isfinite
from typing import Any, Literal

import numpy as np

Verdict = Literal["healthy", "overfitting", "underfitting", "plateau", "diverging", "non_finite"]

WINDOW = 3
"""Epochs in the trailing mean that all rules but `diverging` and `non_finite` read."""

GENERALIZATION_LOSS = 0.05
"""Overfitting: the validation loss is this share above its best (Prechelt's GL = 5 %) ..."""
RISE_OF_BASELINE = 0.02
"""... and by this share of the baseline (a best loss near 0 makes any GL large) ..."""
RISE_OF_NOISE = 4.0
"""... and by this many standard deviations of its own epoch-to-epoch noise ..."""
RISE_EPOCHS = 3
"""... at each of this many epochs in a row, while the training loss kept falling."""

GAP_OF_BASELINE = 0.15
"""Overfitting by the gap: validation minus training loss is this share of the baseline or more ..."""
GAP_EPOCHS = 5
"""... and for this many epochs the validation loss has gained less than `STALLED` of its best ..."""
STALLED = 0.01
GAP_PROGRESS = 0.10
"""... while the training loss fell by this share."""

HIGH_OF_BASELINE = 0.60
"""Underfitting: training and validation loss are both above this share of the baseline ..."""
FLAT_EPOCHS = 5
"""... and over this many epochs (and never before twice as many epochs have run) ..."""
FLAT_OF_BASELINE = 0.01
"""... the training loss fell by less than this share of the baseline, or the training has ended."""

PLATEAU_EPOCHS = 10
"""Plateau: over this many epochs neither loss gained more than `STALLED` ..."""
PLATEAU_OF_BASELINE = 0.05
"""... and the training loss is still above this share of the baseline, so there was something left to learn."""

DIVERGED_OF_BASELINE = 2.0
"""Diverging: the training loss is above this many baselines for two epochs and not coming down by
`DIVERGED_PROGRESS`."""
DIVERGED_PROGRESS = 0.2
DIVERGING_RISE = 0.2
"""Diverging: it rose `DIVERGING_EPOCHS` times in a row, by this share of the baseline in all, above its best."""
DIVERGING_EPOCHS = 3


@dataclass(frozen=True)
class Diagnosis:
    """What the monitor says after an epoch.

    Attributes:
        verdict: the state of the training.
        since: the step at which it began (the best validation epoch for overfitting, the start of the flat stretch for
            underfitting and plateau, the best training epoch for diverging).
        evidence: the numbers that decided; the place of a value that is not finite.
        text: one plain sentence with what to do.
    """

    verdict: Verdict
    since: int
    evidence: dict[str, float | str]
    text: str

    def to_json(self) -> dict[str, Any]:
        """The payload of an event `verdict`."""
        return asdict(self)


@dataclass
class Curve:
    """The epoch series of one training so far, oldest first; all lists have the same length.

    Attributes:
        baseline: training loss of the best constant prediction, above 0.
        steps: the step at which each epoch ended.
        train: mean training loss over each epoch.
        validation: validation loss after each epoch.
    """

    baseline: float
    steps: list[int] = field(default_factory=list)
    train: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)

    def add(self, step: int, train: float, validation: float) -> None:
        """Append one epoch."""
        self.steps.append(int(step))
        self.train.append(float(train))
        self.validation.append(float(validation))


def diagnose(curve: Curve, *, ended: bool = False) -> Diagnosis:
    """The verdict over a curve with at least one epoch; the first rule that holds, the gravest first.

    Args:
        curve: the epochs so far.
        ended: whether the training has ended, which makes high losses underfitting even while they still fall.
    """
    return (
        _non_finite(curve)
        or _diverging(curve)
        or _overfitting(curve)
        or _overfitting_by_gap(curve)
        or _underfitting(curve, ended)
        or _plateau(curve)
        or _healthy(curve)
    )


def _non_finite(curve: Curve) -> Diagnosis | None:
    for step, train, validation in zip(curve.steps, curve.train, curve.validation, strict=True):
        if not (isfinite(train) and isfinite(validation)):
            return non_finite(step)
    return None


_FAULTS = {
    "weight": "; the first weight with NaN or Inf is {}",
    "output": "; its weights are finite, the first layer with NaN or Inf in its output is {}",
    "input": "; the rows themselves have NaN or Inf",
}


def non_finite(step: int, place: str = "", quantity: str = "") -> Diagnosis:
    """The diagnosis of a training whose loss became NaN or infinite.

    Args:
        step: updates made before.
        place: the first weight or layer, in the model's order, with such values.
        quantity: what has them there: `weight`, `output` or `input`; empty where that is not known.
    """
    where = _FAULTS.get(quantity, "").format(place)
    evidence: dict[str, float | str] = {quantity: place} if where else {}
    advice = "lower the learning rate or clip the gradients; the last checkpoint is from before"
    return Diagnosis("non_finite", step, evidence, f"The loss is not finite after step {step}{where}: {advice}.")


def _diverging(curve: Curve) -> Diagnosis | None:
    train, baseline = curve.train, curve.baseline
    if len(train) < 3:
        return None
    far = min(train[-2:]) > DIVERGED_OF_BASELINE * baseline and train[-1] > (1 - DIVERGED_PROGRESS) * train[-2]
    best = int(np.argmin(train))
    recent = train[-DIVERGING_EPOCHS - 1 :]
    rising = len(recent) > DIVERGING_EPOCHS and all(a < b for a, b in pairwise(recent))
    if not far and not (rising and train[-1] - train[best] > DIVERGING_RISE * baseline):
        return None
    evidence: dict[str, float | str] = {"train_loss": train[-1], "best_train_loss": train[best], "baseline": baseline}
    text = (
        f"The training loss is {train[-1]:.3g} after a best of {train[best]:.3g} "
        f"(a constant guess scores {baseline:.3g}): lower the learning rate or clip the gradients."
    )
    return Diagnosis("diverging", curve.steps[best], evidence, text)


def _overfitting(curve: Curve) -> Diagnosis | None:
    train, validation = smooth(curve.train), smooth(curve.validation)
    best = int(np.argmin(validation))
    if len(validation) - 1 - best < RISE_EPOCHS:
        return None
    noise = noise_of(curve.validation)
    needed = max(GENERALIZATION_LOSS * validation[best], RISE_OF_BASELINE * curve.baseline, RISE_OF_NOISE * noise)
    if (validation[-RISE_EPOCHS:] - validation[best]).min() <= needed or not _kept_falling(train, best, curve.baseline):
        return None
    evidence: dict[str, float | str] = {
        "best_val_loss": float(validation[best]),
        "val_loss": float(validation[-1]),
        "generalization_loss": float(validation[-1] / validation[best] - 1),
        "train_loss_then": float(train[best]),
        "train_loss": float(train[-1]),
        "noise": noise,
    }
    text = (
        f"Since step {curve.steps[best]} the validation loss rose from {validation[best]:.3g} to {validation[-1]:.3g} "
        f"while the training loss fell to {train[-1]:.3g}: stop there, regularize more or get more data."
    )
    return Diagnosis("overfitting", curve.steps[best], evidence, text)


def _kept_falling(train: np.ndarray, since: int, baseline: float) -> bool:
    """Whether the training loss fell since epoch `since`, or has nowhere left to fall."""
    return bool(train[-1] < 0.98 * train[since] or train[-1] < 0.01 * baseline)


def _overfitting_by_gap(curve: Curve) -> Diagnosis | None:
    train, validation = smooth(curve.train), smooth(curve.validation)
    if len(train) < GAP_EPOCHS + WINDOW:
        return None
    gap = float(validation[-1] - train[-1])
    then = -1 - GAP_EPOCHS
    stalled = validation[-GAP_EPOCHS:].min() > (1 - STALLED) * validation[: then + 1].min()
    progress = train[-1] < (1 - GAP_PROGRESS) * train[then] or train[-1] < 0.01 * curve.baseline
    if gap < GAP_OF_BASELINE * curve.baseline or not (stalled and progress):
        return None
    since = curve.steps[int(np.argmin(validation[: then + 1]))]
    evidence: dict[str, float | str] = {
        "gap": gap,
        "gap_of_baseline": gap / curve.baseline,
        "val_loss": float(validation[-1]),
    }
    evidence |= {"train_loss": float(train[-1]), "baseline": curve.baseline}
    text = (
        f"Since step {since} only the training loss gains ({train[-1]:.3g}; validation stays at {validation[-1]:.3g}): "
        "regularize more, get more data or take a smaller model."
    )
    return Diagnosis("overfitting", since, evidence, text)


def _underfitting(curve: Curve, ended: bool) -> Diagnosis | None:
    if len(curve.train) < 2 * FLAT_EPOCHS and not ended:
        return None
    train, validation = smooth(curve.train), smooth(curve.validation)
    if min(train[-1], validation[-1]) < HIGH_OF_BASELINE * curve.baseline:
        return None
    start = max(len(train) - 1 - FLAT_EPOCHS, 0)
    fell = float(train[start] - train[-1])
    flat = fell < FLAT_OF_BASELINE * curve.baseline
    if not flat and not ended:
        return None
    evidence: dict[str, float | str] = {
        "train_loss": float(train[-1]),
        "val_loss": float(validation[-1]),
        "baseline": curve.baseline,
        "fell": fell,
    }
    share = f"{train[-1] / curve.baseline:.0%} of a constant guess's loss"
    advice = "take a larger model, a higher learning rate or less regularization" if flat else "train longer or faster"
    text = f"Training and validation loss are both high (training at {share}) and hardly fall: {advice}."
    if not flat:
        text = f"The training ended while its loss was still high ({share}) and falling: {advice}."
    return Diagnosis("underfitting", curve.steps[start], evidence, text)


def _plateau(curve: Curve) -> Diagnosis | None:
    if len(curve.train) < PLATEAU_EPOCHS + WINDOW:
        return None
    train, validation = smooth(curve.train), smooth(curve.validation)
    start = len(train) - 1 - PLATEAU_EPOCHS
    if train[-1] < PLATEAU_OF_BASELINE * curve.baseline or not (_no_gain(train, start) and _no_gain(validation, start)):
        return None
    evidence: dict[str, float | str] = {
        "train_loss": float(train[-1]),
        "val_loss": float(validation[-1]),
        "epochs": float(PLATEAU_EPOCHS),
    }
    text = (
        f"Neither loss has gained {STALLED:.0%} since step {curve.steps[start]} (training {train[-1]:.3g}, validation "
        f"{validation[-1]:.3g}): lower the learning rate, or stop here."
    )
    return Diagnosis("plateau", curve.steps[start], evidence, text)


def _no_gain(losses: np.ndarray, start: int) -> bool:
    """Whether the best loss after epoch `start` is hardly better than the best up to it."""
    return bool(losses[start + 1 :].min() > (1 - STALLED) * losses[: start + 1].min())


def _healthy(curve: Curve) -> Diagnosis:
    train, validation = curve.train[-1], curve.validation[-1]
    evidence: dict[str, float | str] = {"train_loss": train, "val_loss": validation, "baseline": curve.baseline}
    text = f"Training loss {train:.3g} and validation loss {validation:.3g} (a constant guess: {curve.baseline:.3g})."
    return Diagnosis("healthy", curve.steps[-1], evidence, text)


def smooth(losses: Sequence[float]) -> np.ndarray:
    """Trailing mean over `WINDOW` values (over fewer at the start): float64 of the same length."""
    sums = np.cumsum(np.asarray(losses, dtype=np.float64))
    sums[WINDOW:] = sums[WINDOW:] - sums[:-WINDOW]
    return sums / np.minimum(np.arange(1, len(sums) + 1), WINDOW)


def noise_of(losses: Sequence[float]) -> float:
    """Standard deviation of the epoch-to-epoch noise over the last 20 epochs; 0 for fewer than 5.

    From the median size of the second differences, which a trend does not enlarge (of independent noise with deviation
    s they have deviation s * sqrt(6)), times 1.4826 to make a median absolute deviation a standard deviation.
    """
    recent = np.asarray(losses[-20:], dtype=np.float64)
    if len(recent) < 5:
        return 0.0
    return float(1.4826 * np.median(np.abs(np.diff(recent, 2))) / np.sqrt(6))
