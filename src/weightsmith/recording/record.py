"""The way in: what is given is checked here, before a training begins."""

import os
from collections.abc import Mapping
from numbers import Real
from typing import Any

from torch import nn

from weightsmith.errors import InputError
from weightsmith.names import Patterns
from weightsmith.recording.environment import environment as this_environment
from weightsmith.recording.hooks import Optimizers, plain_optimizers
from weightsmith.recording.recorder import Recorder, Subject
from weightsmith.recording.watched import Models, named_models, watch
from weightsmith.store import RunWriter, Store
from weightsmith.store.annotation import Tags, checked_note, checked_tags


def record(
    model: Models,
    optimizer: Optimizers | None = None,
    *,
    budget: float = 0.02,
    store: Store | str | os.PathLike[str] | None = None,
    name: str | None = None,
    tags: Tags = (),
    note: str | None = None,
    include: Patterns = "*",
    exclude: Patterns = (),
    recipe: dict[str, Any] | None = None,
    environment: dict[str, Any] | None = None,
    snapshots: bool = True,
    resume: str | None = None,
    step: int = 0,
) -> Recorder:
    """Record a training into a store, whatever its loop, at a bounded cost.

    Call `recorder.step(loss=loss)` once after each optimizer step. Norms, updates, gradients, sign flips, sketches and
    snapshots are then taken as often as the budget allows: evenly in log time at first, evenly later. The first and
    the last weights are always kept. Weights are those that the model has when recording begins. With several
    processes, record in one of them.

    Args:
        model: the model, wrapped or not, or a mapping from names to several.
        optimizer: the optimizer or optimizers. Measurements are taken at their steps, gradients as they find them
            (accumulated, clipped, unscaled). Without one, weights are sampled between calls of `step`, and gradients
            are not recorded.
        budget: seconds of recording per second of training at most; infinity records whatever there is.
        store: a store or its location; None for the default one.
        name: what to call the run.
        tags: short words to find the run by; a resumed one keeps those that it has.
        note: what to remember of the run, in plain text of several lines; with `resume`, in the place of its own.
        include: shell patterns of the weights to record.
        exclude: shell patterns of weights to leave out.
        recipe: the description of the training, kept with the run.
        environment: versions, machine and whatever else explains the numbers; None for `environment()`.
        snapshots: whether to keep copies of all weights.
        resume: id of a run to continue.
        step: with `resume`, the step to continue from; what was recorded after it is deleted.

    Returns:
        A context manager; the run ends as completed, failed (an exception) or interrupted when it is left.

    Raises:
        InputError: an argument that cannot be used.

    Example:
        >>> with record(model, optimizer, budget=0.02) as recorder:
        ...     for inputs, targets in batches:
        ...         loss = train_step(inputs, targets)
        ...         recorder.step(loss=loss)
    """
    if not (isinstance(budget, Real) and budget >= 0):
        raise InputError(f"budget is {budget!r}: give the share of training time that recording may take, such as 0.02")
    if step < 0 or (step and resume is None):
        raise InputError(f"step is {step}: it is the step to resume from, and needs resume=RUN_ID")
    labels: dict[str, Any] = {"tags": checked_tags(tags), "note": checked_note(note)}
    models = named_models(model)
    watched = watch(models, include, exclude)

    def begin(opened: Store) -> RunWriter:
        if resume is None:
            return opened.create_run(
                name=name,
                recipe=recipe,
                environment=this_environment() if environment is None else environment,
                weights=[one.info for one in watched],
                **labels,
            )
        writer = opened.resume_run(resume)
        writer.truncate(step)
        opened.annotate(resume, **labels)
        return writer

    compiled = any(_is_compiled(one) for one in (model.values() if isinstance(model, Mapping) else [model]))
    subject = Subject({} if compiled else models, plain_optimizers(optimizer), watched, begin)
    return Recorder(subject, budget=budget, store=store, snapshots=snapshots, step=step)


def _is_compiled(model: nn.Module) -> bool:
    # Compiled code ignores hooks placed later, or is compiled anew because of them: no activations from there.
    return any(
        type(module).__name__ == "OptimizedModule" or module._compiled_call_impl is not None
        for module in model.modules()
    )
