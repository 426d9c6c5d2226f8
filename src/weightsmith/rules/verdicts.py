"""What the curves of a run say at its end; what the rules on over- and underfitting share."""

from typing import TYPE_CHECKING

from weightsmith.analysis.monitor import Curve, Diagnosis, diagnose
from weightsmith.rules.rule import NotCheckedError

if TYPE_CHECKING:
    from weightsmith.store import Run


def final_verdict(run: "Run") -> Diagnosis:
    """The monitor's last word on a run: as recorded, or worked out from its epoch losses.

    Without a recorded verdict the loss of the first epoch stands in for that of a constant prediction.

    Raises:
        NotCheckedError: neither a verdict nor training and validation losses of the same steps were recorded.
    """
    fields = {"verdict", "since", "evidence", "text"}
    recorded = [event.payload for event in run.events("verdict") if set(event.payload) == fields]
    if recorded:
        return Diagnosis(**recorded[-1])
    train, validation = run.series("train_loss"), run.series("val_loss")
    losses = dict(zip(validation.steps.tolist(), validation.values.tolist(), strict=True))
    shared = [
        (step, loss) for step, loss in zip(train.steps.tolist(), train.values.tolist(), strict=True) if step in losses
    ]
    if not shared:
        raise NotCheckedError("training and validation losses (train_loss, val_loss) were not recorded")
    curve = Curve(baseline=max(shared[0][1], 1e-12))
    for step, loss in shared:
        curve.add(step, loss, losses[step])
    return diagnose(curve, ended=run.status != "running")
