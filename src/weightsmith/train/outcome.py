"""The end of a training: the last and the best weights measured, the report, the run's summary and the result."""

from dataclasses import dataclass
from math import isfinite
from typing import Any

from weightsmith.train.assembly import Assembly
from weightsmith.train.checkpoint import copy_weights
from weightsmith.train.evaluate import Measured, Scores
from weightsmith.train.journal import Journal
from weightsmith.train.loop import Ending, Loop
from weightsmith.train.recipe import Recipe
from weightsmith.train.report import Optimality, WeightReport, describe_weights, measure_optimality
from weightsmith.train.result import Measurement, TrainResult


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a training reached.

    Attributes:
        best: the weights of the lowest validation loss; None where no epoch ended.
        last: those of the last step; None likewise, and where they are not finite.
        report: zeros and features of the weights that are kept, optimality of the last.
    """

    best: Measurement | None
    last: Measurement | None
    report: WeightReport


def finish(loop: Loop, ending: Ending) -> Outcome:
    """Judge and measure a training at its end; the model keeps the last weights. Every process takes part.

    The test rows are looked at here and nowhere else, and not before the training has come to its end.
    """
    if ending == "interrupted":
        return Outcome(None, None, WeightReport())
    parts = loop.parts
    if ending != "non_finite":
        loop.finish()
    if loop.best.step is None or loop.best_weights is None or loop.best_scores is None or loop.validation is None:
        return Outcome(None, None, _report(parts, []))
    test, last, optimality = _test_rows(parts), None, list[Optimality]()
    if ending != "non_finite":
        last = Measurement(loop.position.step, loop.validation, _scores(test, parts))
        feed = parts.feed(parts.data.train)
        optimality = measure_optimality(parts.module, feed, parts.objective, parts.recipe)
    last_weights, last_report = copy_weights(parts.module.state_dict()), _report(parts, optimality)
    parts.module.load_state_dict(loop.best_weights)
    best = Measurement(loop.best.step, loop.best_scores, _scores(test, parts))
    best_report = _report(parts, optimality)
    parts.module.load_state_dict(last_weights)
    return Outcome(best, last, last_report if _keeps_last(parts, last) else best_report)


def _keeps_last(parts: Assembly, last: Measurement | None) -> bool:
    """Whether the recipe wants the last weights, and they are fit to be kept."""
    return parts.recipe.budget.keep == "last" and last is not None


def keeps_best(recipe: Recipe, best: Measurement | None, last: Measurement | None) -> bool:
    """Whether a finished training keeps best weights that are not its last ones."""
    return recipe.budget.keep == "best" and best is not None and last is not None and best.step != last.step


def _test_rows(parts: Assembly) -> Measured | None:
    if parts.data.test is None or len(parts.data.test) == 0:
        return None
    feed = parts.feed(parts.data.test)
    return Measured(feed, parts.objective, parts.processes, parts.recipe.batch_size)


def _scores(rows: Measured | None, parts: Assembly) -> Scores | None:
    return None if rows is None else rows.scores(parts.module, parts.fabric.autocast())


def _report(parts: Assembly, optimality: list[Optimality]) -> WeightReport:
    return describe_weights(parts.module, parts.data.input_shape, parts.data.feature_names, optimality)


def metrics_of(loop: Loop, outcome: Outcome) -> dict[str, float]:
    """Scores by the names they have in a run's summary: those of the kept weights plain, of the last with `last_`."""
    metric = loop.parts.objective.metric
    found: dict[str, float] = {}
    kept = outcome.last if _keeps_last(loop.parts, outcome.last) else outcome.best
    for prefix, measured in (("", kept), ("last_", outcome.last)):
        if measured is not None:
            found |= measured.numbers(metric, prefix)
    return found


def summary_of(loop: Loop, ending: Ending, outcome: Outcome) -> dict[str, Any]:
    """What the run's summary says about the training, as plain JSON values."""
    parts = loop.parts
    numbers = {name: value if isfinite(value) else None for name, value in metrics_of(loop, outcome).items()}
    metric = parts.objective.metric
    best = {} if outcome.best is None else outcome.best.numbers(metric, "")
    summary = {
        "epochs": loop.position.epoch,
        "steps": loop.position.step,
        "training_seconds": loop.position.seconds,
        "task": parts.objective.task,
        "metric": metric,
        "ending": ending,
        "verdict": None if loop.monitor.current is None else loop.monitor.current.verdict,
        "best_step": loop.best.step,
        f"best_val_{metric}": best.get(f"val_{metric}"),
        "best_val_loss": best.get("val_loss"),
        "checkpoint_seconds": loop.clock.seconds,
        "checkpoints": loop.clock.written,
    }
    report = outcome.report.to_json()
    report["kept_zeros"] = report.pop("zeros")
    return summary | numbers | (report if outcome.best is not None else {})


def result_of(loop: Loop, journal: Journal, ending: Ending, outcome: Outcome) -> TrainResult:
    """The result, with the kept weights in the model, which goes to the CPU and to evaluation mode."""
    module = loop.parts.module
    keeps_last = ending == "interrupted" or _keeps_last(loop.parts, outcome.last)
    if loop.best_weights is not None and not keeps_last:
        module.load_state_dict(loop.best_weights)
    return TrainResult(
        run_id=journal.run_id,
        ending=ending,
        verdict=loop.monitor.current,
        metrics=metrics_of(loop, outcome),
        best=outcome.best,
        last=outcome.last,
        epochs=loop.position.epoch,
        steps=loop.position.step,
        seconds=loop.position.seconds,
        model=module.cpu().eval(),
        report=outcome.report,
        recorder=journal.cost(),
        checkpoint_seconds=loop.clock.seconds,
        checkpoints=loop.clock.written,
    )
