"""`train`: from a recipe to a trained model and its run in the store."""

import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from weightsmith.errors import InputError, StoreError
from weightsmith.recording import Recorder, environment, record
from weightsmith.sources.module import open_module
from weightsmith.store import Store
from weightsmith.store.annotation import Tags
from weightsmith.train import checkpoint
from weightsmith.train.assembly import Assembly, assemble
from weightsmith.train.data import Data
from weightsmith.train.device import connect, reproducible, seed_everything, uses_gpu
from weightsmith.train.interrupt import Interrupt
from weightsmith.train.journal import Journal
from weightsmith.train.loop import Epoch, Loop
from weightsmith.train.outcome import finish, keeps_best, result_of, summary_of
from weightsmith.train.progress import Display, display
from weightsmith.train.recipe import Recipe
from weightsmith.train.result import TrainResult

Location = Store | str | os.PathLike[str] | None


@dataclass(frozen=True)
class Earlier:
    """A run that is to go on.

    Attributes:
        run_id: its id.
        recipe: what it was started with.
        environment: where it was started.
        folder: its checkpoints.
    """

    run_id: str
    recipe: Recipe
    environment: dict[str, Any]
    folder: Path


Saved = tuple[dict[str, Any], dict[str, Any] | None]
"""State and best weights, as `checkpoint.load` returns them."""


class StoppedError(KeyboardInterrupt):
    """Leaves the recorder's block so that the run ends as interrupted."""


class BrokenError(Exception):
    """Leaves the recorder's block so that the run ends as failed: the loss is not finite."""


def train(
    recipe: Recipe | Mapping[str, Any] | None = None,
    *,
    store: Location = None,
    name: str | None = None,
    tags: Tags = (),
    note: str | None = None,
    data: Data | None = None,
    model: nn.Module | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    resume: str | None = None,
    progress: bool = True,
) -> TrainResult:
    """Train what a recipe describes, and keep the run in a store.

    One process trains on one device. Started by `torchrun`, all processes train together: each takes its part of every
    batch, process 0 records. Losses are those of one process to rounding, except that dropout differs and that batch
    norm on CPUs normalizes by each process's own rows (on GPUs by those of all, as one process does).

    Ctrl-C and SIGTERM finish the step at hand, save a checkpoint and end the run as interrupted; it can be resumed, as
    can one whose process was killed. On the same machine, CPU and versions, a resumed run ends with the same weights,
    bit for bit, as one that was never stopped (budgets in seconds apart).

    Args:
        recipe: a recipe or its plain values; None for the default one, or for the resumed run's.
        store: a store or its location; None for the default one.
        name: what to call the run; a resumed one keeps its own.
        tags: short words to find the run by; a resumed one keeps those that it has.
        note: what to remember of the run, in plain text of several lines; with `resume`, in the place of its own.
        data: rows to use instead of the recipe's (`from_datasets`).
        model: a network to train in place instead of the recipe's; initialized as the recipe says.
        on_epoch: called after every epoch, on process 0.
        resume: a run to continue from its last checkpoint; its recipe is used, and `data` and `model` must be given
            again where it had its own.
        progress: whether to show how it goes on standard error.

    Returns:
        Scores of the best and the last weights, the monitor's verdict, the model with the weights that `budget.keep`
        names, the report.

    Raises:
        InputError: a recipe, data or model that cannot be used; a run that cannot be resumed.
        SourceError: data or a checkpoint that cannot be read.
        StoreError: the store cannot be opened or written.
    """
    if resume is not None and name is not None:
        raise InputError(f"a resumed run keeps its name: leave name={name!r} out")
    earlier = _find_run(store, resume) if resume is not None else None
    chosen = _recipe_of(recipe, earlier)
    if earlier is not None:
        _check_parts(earlier, data, model)
    with reproducible(_threads(chosen, earlier), uses_gpu(chosen)):
        fabric = connect(chosen)
        seed_everything(chosen.seed)
        parts = assemble(chosen, fabric, data, model)
        seed_everything(chosen.seed, fabric.global_rank)
        saved = checkpoint.load(earlier.folder, fabric.device) if earlier is not None else None
        shown = display(shown=progress and fabric.is_global_zero)
        own = {"own_data": data is not None, "own_model": model is not None, "processes": fabric.world_size}
        try:
            labels = {"name": name, "tags": tags, "note": note}
            recorder = _recorder(parts, store, labels, own, earlier, saved)
            result = _run(parts, recorder, shown, on_epoch, saved)
        finally:
            shown.close()
        if recorder is not None and recorder.failure is None:
            _keep_best(chosen, result, store)
        return result


def _keep_best(recipe: Recipe, result: TrainResult, store: Location) -> None:
    """Add a snapshot of the best weights to the run and complete it, unless the last ones count, which it has.

    A store that cannot take them leaves the run interrupted: resuming it tries again.
    """
    if result.run_id is None or result.best is None or not keeps_best(recipe, result.best, result.last):
        return
    weights = {name: weight.read() for name, weight in open_module(result.model).items()}
    try:
        with _opened(store) as opened:
            writer = opened.resume_run(result.run_id)
            try:
                writer.snapshot(result.best.step, weights, "best")
            except StoreError:
                writer.finish("interrupted", "the best weights could not be kept")
                raise
            writer.finish("completed")
    except StoreError as error:
        warnings.warn(
            f"the best weights are in the result, but not in run {result.run_id}: {error}", RuntimeWarning, stacklevel=3
        )


def _find_run(store: Location, reference: str) -> Earlier:
    with _opened(store) as opened:
        run = opened.run(reference)
    if run.recipe is None:
        raise InputError(
            f"run {run.id} was recorded from a loop of its own and has no recipe: it cannot be resumed here"
        )
    if run.status == "completed":
        raise InputError(f"run {run.id} is complete: there is nothing to resume; train its recipe anew to go further")
    return Earlier(run.id, Recipe.from_dict(run.recipe), run.environment, run.files / checkpoint.FOLDER)


@contextmanager
def _opened(store: Location) -> Iterator[Store]:
    if isinstance(store, Store):
        yield store
    else:
        with Store.open(store) as opened:
            yield opened


def _recipe_of(recipe: Recipe | Mapping[str, Any] | None, earlier: Earlier | None) -> Recipe:
    if recipe is None:
        return Recipe() if earlier is None else earlier.recipe
    if isinstance(recipe, Recipe):
        recipe.check()
        given = recipe
    else:
        given = Recipe.from_dict(recipe)
    if earlier is not None and given != earlier.recipe:
        raise InputError(f"run {earlier.run_id} goes on with its own recipe, which differs: leave the recipe out")
    return given


def _check_parts(earlier: Earlier, data: Data | None, model: nn.Module | None) -> None:
    """Refuse to resume on other data or another model, and warn of other versions."""
    for part, given in (("data", data), ("model", model)):
        if earlier.environment.get(f"own_{part}", False) != (given is not None):
            what = "was trained on" if given is None else "was not trained on"
            raise InputError(f"run {earlier.run_id} {what} {part} of its own: give {part}= as when it began")
    checkpoint.warn_of_changes(earlier.environment.get("packages", {}), environment()["packages"])


def _threads(recipe: Recipe, earlier: Earlier | None) -> int:
    """The recipe's threads, else those the run began with (sums depend on them), else all that torch would use."""
    began_with = earlier.environment.get("threads") if earlier is not None else None
    return recipe.threads or began_with or torch.get_num_threads()


def _recorder(
    parts: Assembly,
    store: Location,
    labels: dict[str, Any],
    own: dict[str, Any],
    earlier: Earlier | None,
    saved: Saved | None,
) -> Recorder | None:
    """The recorder of process 0; None where the recipe records nothing, and on other processes."""
    chosen = parts.recipe.record
    if chosen is None or not parts.processes.leads:
        return None
    if earlier is not None and saved is None:
        with _opened(store) as opened:
            # no checkpoint yet: it starts over, with nothing recorded
            opened.resume_run(earlier.run_id).truncate(-1)
    return record(
        parts.module,
        parts.optimizer,
        budget=chosen.budget,
        store=store,
        **labels,
        include=chosen.include,
        exclude=chosen.exclude,
        recipe=parts.recipe.effective(),
        environment=environment() | own,
        snapshots=chosen.snapshots,
        resume=None if earlier is None else earlier.run_id,
        step=0 if saved is None else saved[0]["position"]["step"],
    )


def _run(
    parts: Assembly,
    recorder: Recorder | None,
    shown: Display,
    on_epoch: Callable[[Epoch], None] | None,
    saved: Saved | None,
) -> TrainResult:
    """Train and measure inside the recorder's block; the model comes out with the kept weights."""
    journal = Journal(recorder)
    with Interrupt() as interrupt, suppress(StoppedError, BrokenError), recorder or nullcontext():
        loop = Loop(parts, journal, shown, interrupt, on_epoch)
        if saved is not None:
            loop.restore(*saved)
        ending = loop.run()
        outcome = finish(loop, ending)
        journal.summarize(summary_of(loop, ending, outcome))
        if ending == "interrupted":
            raise StoppedError(f"stopped at step {loop.position.step}; resume it to go on")
        if ending == "non_finite":
            raise BrokenError(loop.monitor.current.text if loop.monitor.current else "the loss is not finite")
        if keeps_best(parts.recipe, outcome.best, outcome.last) and recorder is not None:
            # not complete before `_keep_best` is done: a kill in between leaves a run that can be resumed
            raise StoppedError("the best weights are still to be kept")
    if ending == "interrupted":
        how = f"; resume it with resume='{journal.run_id}' or weightsmith train --resume {journal.run_id}"
        shown.say(f"Stopped at step {loop.position.step}{how if journal.run_id else ''}.")
    return result_of(loop, journal, ending, outcome)
