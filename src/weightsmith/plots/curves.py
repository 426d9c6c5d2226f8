"""Loss and metrics of a run over its steps, with what the monitor concluded."""

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from weightsmith.plots import style
from weightsmith.plots.style import Theme, number, percent
from weightsmith.plots.subject import NothingToDrawError, run_line
from weightsmith.plots.thinning import Band, band

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from weightsmith.store import Run

TURNED = 0.05
"""Relative rise over its best from which the validation loss is said to have turned."""


@dataclass(frozen=True)
class Curve:
    """One line: `part` is `training` or `validation`; non-finite values break it."""

    part: str
    steps: NDArray[np.int64]
    values: NDArray[np.float64]


@dataclass(frozen=True)
class Verdict:
    """What the monitor said, and the steps for which it held."""

    verdict: str
    start: int
    stop: int
    text: str


@dataclass(frozen=True)
class Curves:
    """What the picture shows.

    Attributes:
        step_loss: training loss of single steps, or None where the run has none.
        losses: training and validation loss as logged, by epoch.
        metrics: name and curves of each metric.
        learning_rate: its curve, or None.
        verdicts: in order of their start; those that say `healthy` hold until the next one.
        best_step: the step taken as the best, or None.
        log_loss: whether the losses span a factor of 30 and are all positive.
        non_finite: first step with a loss of NaN or Inf, or None.
    """

    title: str
    subtitle: str
    step_loss: Band | None
    losses: tuple[Curve, ...]
    metrics: tuple[tuple[str, tuple[Curve, ...]], ...]
    learning_rate: Curve | None
    verdicts: tuple[Verdict, ...]
    best_step: int | None
    log_loss: bool
    non_finite: int | None


def summarize(run: "Run") -> Curves:
    """Collect the curves of a run.

    Raises:
        NothingToDrawError: where it has recorded neither a loss nor a metric.
    """
    names = [name for name, weight in run.series_names() if weight is None]
    step_loss = run.series("loss")
    losses = _pair(run, "loss")
    found = dict.fromkeys(name.split("_", 1)[1] for name in names if name.startswith(("train_", "val_")))
    metrics = tuple((name, _pair(run, name)) for name in found if name != "loss")
    if not (len(step_loss) or losses or metrics):
        raise NothingToDrawError(f"run {run.id} has recorded no loss and no metric")
    rate = run.series("learning_rate")
    best = run.summary.get("best_step")
    best_step = int(best) if isinstance(best, int | float) else _lowest(losses)
    all_losses = [*losses, Curve("training", step_loss.steps, step_loss.values)]
    bad = np.concatenate([curve.steps[~np.isfinite(curve.values)] for curve in all_losses])
    non_finite = int(bad.min()) if len(bad) else None
    ends = [curve.steps[-1:] for curve in (*all_losses, *(curve for _, pair in metrics for curve in pair))]
    last = int(np.concatenate(ends).max())
    thinned = band(step_loss.steps, step_loss.values)
    verdicts = _verdicts(run, last)
    healthy = bool(verdicts) and verdicts[-1].verdict == "healthy"
    return Curves(
        _sentence(thinned, losses, metrics, non_finite, healthy),
        run_line(run, f"{last:,} steps", run.status),
        thinned if len(thinned.steps) else None,
        losses,
        metrics,
        Curve("learning rate", rate.steps, rate.values) if len(rate) else None,
        verdicts,
        best_step,
        _spans([curve.values for curve in all_losses]),
        non_finite,
    )


def _pair(run: "Run", name: str) -> tuple[Curve, ...]:
    found = [("training", run.series(f"train_{name}")), ("validation", run.series(f"val_{name}"))]
    return tuple(Curve(part, one.steps, one.values) for part, one in found if len(one))


def _lowest(losses: tuple[Curve, ...]) -> int | None:
    for curve in losses:
        if curve.part == "validation" and np.isfinite(curve.values).any():
            return int(curve.steps[np.nanargmin(np.where(np.isfinite(curve.values), curve.values, np.nan))])
    return None


def _verdicts(run: "Run", last: int) -> tuple[Verdict, ...]:
    events = run.events("verdict")
    ends = [event.step for event in events[1:]] + [max(last, event.step) for event in events[-1:]]
    found: list[Verdict] = []
    for event, stop in zip(events, ends, strict=True):
        payload = event.payload
        one = Verdict(
            str(payload["verdict"]), int(payload.get("since", event.step)), stop, str(payload.get("text", ""))
        )
        if found and found[-1].verdict == one.verdict:  # the same one again only lasts longer
            found[-1] = Verdict(one.verdict, found[-1].start, stop, one.text)
        else:
            found.append(one)
    return tuple(found)


def _spans(values: list[NDArray[np.float64]]) -> bool:
    finite = np.concatenate([v[np.isfinite(v)] for v in values])
    if not len(finite) or finite.min() <= 0:
        return False
    # A single lucky batch near zero must not stretch the axis: the 1st percentile stands for the smallest.
    return bool(finite.max() > 30 * np.quantile(finite, 0.01))


def _sentence(
    steps: Band,
    losses: tuple[Curve, ...],
    metrics: tuple[tuple[str, tuple[Curve, ...]], ...],
    bad: int | None,
    healthy: bool,
) -> str:
    """What a reader should see first, from the numbers alone."""
    if bad is not None:
        return f"The loss became NaN or infinite at step {bad:,}"
    by_part = {curve.part: curve for curve in losses}
    training = by_part.get("training")
    if training is None and len(steps.steps):
        # Whole steps; the medians of groups are what a reader sees as the trend.
        training = Curve("training", steps.steps.astype(np.int64), steps.middle)
    validation = by_part.get("validation")
    if validation is not None and len(validation.steps) > 1:
        return _validation_sentence(validation, training, healthy)
    if training is not None:
        return _training_sentence(training)
    if validation is not None:
        return f"Validation loss is {number(validation.values[0])} at step {validation.steps[0]:,}"
    name, curves = metrics[0]
    return f"{curves[-1].part.capitalize()} {name} ended at {number(curves[-1].values[-1])}"


def _validation_sentence(validation: Curve, training: Curve | None, healthy: bool) -> str:
    index = int(np.argmin(validation.values))
    best, end, step = validation.values[index], validation.values[-1], int(validation.steps[index])
    rise = (end - best) / abs(best) if best else 0.0
    if index == len(validation.values) - 1:
        return f"Validation loss was at its lowest, {number(end)}, when training ended at step {step:,}"
    if rise < TURNED or healthy:
        return f"Validation loss leveled off: {number(best)} at step {step:,}, {number(end)} at the end"
    title = f"Validation loss turned at step {step:,} and is {percent(rise)} above its best"
    if training is not None:
        then = float(np.interp(step, training.steps, training.values))
        if training.values[-1] < then * (1 - TURNED):
            return f"Validation loss turned at step {step:,} while training loss kept falling"
    return title


def _training_sentence(training: Curve) -> str:
    first, end, last = training.values[0], training.values[-1], int(training.steps[-1])
    if len(training.values) == 1:
        return f"Training loss is {number(first)} at step {last:,}"
    if abs(end - first) <= 0.01 * abs(first):
        return f"Training loss did not move: {number(first)} at first, {number(end)} at step {last:,}"
    verb = "fell" if end < first else "rose"
    return f"Training loss {verb} from {number(first)} to {number(end)} in {last:,} steps"


def draw(curves: Curves, theme: Theme) -> "Figure":
    """Draw what `summarize` found."""
    metrics = curves.metrics[:3]
    has_loss = curves.step_loss is not None or bool(curves.losses)
    heights = [3.0] * has_loss + [1.9] * len(metrics) + [0.75] * (curves.learning_rate is not None)
    figure = style.new_figure(theme, 7.6, sum(heights) + 1.5)
    panels = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0].tolist()
    for axes in panels:
        style.dress(axes, theme)
        _mark(axes, curves, theme)
    rest = iter(panels)
    if has_loss:
        _draw_loss(next(rest), curves, theme)
    for name, pair in metrics:
        axes = next(rest)
        axes.set_ylabel(name)
        _lines(axes, pair, theme)
        style.plain_numbers(axes)
        if not has_loss:
            style.legend(axes, theme)
    if curves.learning_rate is not None:
        _draw_rate(next(rest), curves.learning_rate, theme)
    style.dress(panels[-1], theme, "step", panels[-1].get_ylabel())
    notes = [f"{v.verdict.replace('_', ' ')}: {v.text}" for v in _told(curves) if v.text]
    if curves.verdicts and not notes:
        notes.append("The monitor found nothing wrong with these curves.")
    if len(curves.metrics) > len(metrics):
        notes.append("not shown: " + ", ".join(name for name, _ in curves.metrics[len(metrics) :]))
    style.finish(figure, theme, curves.title, curves.subtitle, notes)
    return figure


def _told(curves: Curves) -> list[Verdict]:
    """The last three verdicts that name a trouble."""
    return [verdict for verdict in curves.verdicts if verdict.verdict != "healthy"][-3:]


def _mark(axes: "Axes", curves: Curves, theme: Theme) -> None:
    """Regions of trouble and the best step, through all panels."""
    for verdict in _told(curves):
        axes.axvspan(verdict.start, max(verdict.stop, verdict.start), color=theme.alarm, alpha=0.1, linewidth=0)
        axes.axvline(verdict.start, color=theme.alarm, alpha=0.3, linewidth=1)
    if curves.best_step is not None:
        axes.axvline(curves.best_step, color=theme.accent, linewidth=1, linestyle=(0, (4, 3)))


def _draw_loss(axes: "Axes", curves: Curves, theme: Theme) -> None:
    axes.set_ylabel("loss")
    if curves.log_loss:
        axes.set_yscale("log")
    if curves.step_loss is not None:
        one = curves.step_loss
        axes.fill_between(one.steps, one.low, one.high, color=theme.training, alpha=0.18, linewidth=0)
        alone = all(curve.part != "training" for curve in curves.losses)
        axes.plot(
            one.steps, one.middle, color=theme.training, alpha=0.5, linewidth=1.4 if alone else 0.9, label="steps"
        )
        _frame(axes, curves)
    _lines(axes, curves.losses, theme)
    if curves.non_finite is not None:
        axes.axvline(curves.non_finite, color=theme.alarm, linewidth=1.4, linestyle=":", label="first NaN or Inf")
    if curves.best_step is not None:
        axes.plot(
            [], [], color=theme.accent, linewidth=1, linestyle=(0, (4, 3)), label=f"best step {curves.best_step:,}"
        )
    for verdict in _told(curves):
        name = verdict.verdict.replace("_", " ")
        axes.plot([], [], color=theme.alarm, alpha=0.45, linewidth=6, label=f"{name} since step {verdict.start:,}")
    style.plain_numbers(axes)
    style.legend(axes, theme)


def _frame(axes: "Axes", curves: Curves) -> None:
    """Keep single stray steps from squeezing the rest: the axis covers the bulk and all that was logged by epoch."""
    one = curves.step_loss
    assert one is not None
    logged = [c.values[np.isfinite(c.values)] for c in curves.losses]
    everything = np.concatenate([one.middle, [np.quantile(one.low, 0.02), np.quantile(one.high, 0.98)], *logged])
    low, high = float(everything.min()), float(everything.max())
    if high > low:
        if curves.log_loss and low > 0:
            axes.set_ylim(low / (high / low) ** 0.05, high * (high / low) ** 0.05)
        else:
            axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))


def _lines(axes: "Axes", pair: tuple[Curve, ...], theme: Theme) -> None:
    for curve in pair:
        color = theme.training if curve.part == "training" else theme.validation
        marker = "o" if len(curve.steps) <= 40 else ""
        values = np.where(np.isfinite(curve.values), curve.values, np.nan)
        axes.plot(curve.steps, values, color=color, linewidth=1.8, marker=marker, markersize=3, label=curve.part)


def _draw_rate(axes: "Axes", rate: Curve, theme: Theme) -> None:
    axes.set_ylabel("learning\nrate")
    axes.plot(rate.steps, rate.values, color=theme.muted, linewidth=1.3, drawstyle="steps-post")
    jumps = [b for a, b in pairwise(rate.values.tolist()) if a != b]
    if not jumps and rate.values[0] > 0:  # a constant needs its one value as a label, not a made-up range around it
        axes.set_ylim(0, 2 * rate.values[0])
        axes.set_yticks([rate.values[0]], [number(float(rate.values[0]))])
    else:
        axes.set_ylim(0)
        style.plain_numbers(axes, "y", few=True)
