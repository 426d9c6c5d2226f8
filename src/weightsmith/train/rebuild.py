"""The model of a finished run, built again to be asked questions."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import update_bn

from weightsmith.errors import InputError, SourceError
from weightsmith.kinds.binary.activation import replace_activations
from weightsmith.sources import Source
from weightsmith.store import Run
from weightsmith.train import checkpoint
from weightsmith.train.data import Data, Split, load_data
from weightsmith.train.models import build_model
from weightsmith.train.models.custom import is_custom
from weightsmith.train.rebuildable import rebuildable_recipe
from weightsmith.train.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Rebuilt:
    """A run's model and the rows it was trained on.

    Attributes:
        model: in evaluation mode, with the weights the run kept, as they are used: binary ones are binary.
        data: the rows, split as in the training.
        step: the step of the weights.
        note: where the running statistics of batch norm come from, if they are not those of the training.
    """

    model: nn.Module
    data: Data
    step: int
    note: str = ""

    @property
    def held_out(self) -> tuple[str, Split]:
        """The rows that it is judged by and their name: `test`, or `validation` where there is no test set."""
        return ("test", self.data.test) if self.data.test else ("validation", self.data.validation)

    @property
    def output_names(self) -> Sequence[str] | None:
        """Names of the model's outputs, where they have any: the one logit of two classes speaks for the second."""
        names = self.data.class_names
        return names[1:] if names is not None and self.data.outputs == 1 else names


def rebuild(run: Run, progress: Callable[[int, int], None] | None = None) -> Rebuilt:
    """Build a run's model from its recipe and fill it from the snapshot that the run kept (`best`, else the last).

    Snapshots hold weights alone: the running statistics of batch norm are those of the run's checkpoint where it has
    them of the same step, else they are measured anew over the training rows.

    Args:
        run: a finished one, or one that goes on, with the snapshots that it has so far.
        progress: called with the batches done and all batches while running statistics are measured.

    Raises:
        InputError: the run has no recipe, or had data or a model of its own, or the recipe now builds another model.
        SourceError: data that cannot be read.
        StoreError: the run has no snapshot.
    """
    recipe = Recipe.from_dict(rebuildable_recipe(run))
    data = load_data(recipe)
    best = [snapshot.step for snapshot in run.snapshots() if snapshot.label == "best"]
    step = best[-1] if best else max((snapshot.step for snapshot in run.snapshots()), default=0)
    source = run.source(step)
    if not is_custom(recipe.model.name):  # of which nothing is known before it is called
        with torch.device("meta"):  # a recipe of another model may ask for more memory than there is
            _check_shapes(build_model(recipe, data), run, source)
    model = build_model(recipe, data)
    if recipe.kind.name == "binary" and recipe.kind.options.get("activations") == "binary":
        replace_activations(model, "clipped")  # how gradients pass makes no difference here
    _check_shapes(model, run, source)
    _fill(model, source)
    note = ""
    if any(isinstance(module, _BatchNorm) for module in model.modules()) and not _fill_buffers(model, run, step):
        _measure_batch_norm(model, data, recipe.batch_size, progress)
        note = (
            "the running statistics of batch norm were measured anew over the training rows: "
            f"the run has no checkpoint of step {step:,}"
        )
    return Rebuilt(model.eval(), data, step, note)


def _check_shapes(model: nn.Module, run: Run, source: Source) -> None:
    for name, parameter in model.named_parameters():
        if name not in source or source[name].shape != tuple(parameter.shape):
            raise InputError(f"run {run.id} has no weight '{name}' of this shape: its model has changed since")


def _fill(model: nn.Module, source: Source) -> None:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.tensor(source[name].read().astype("float32")))


def _fill_buffers(model: nn.Module, run: Run, step: int) -> bool:
    """Take the buffers of a step from the run's checkpoint; False, and nothing changes, where it does not have them."""
    try:
        saved = checkpoint.load(run.files / checkpoint.FOLDER, torch.device("cpu"))
    except SourceError:  # damaged: what it held can be measured
        return False
    state, best = saved or ({}, None)
    buffers = dict(model.named_buffers())
    for at, held in (("position", state.get("model")), ("best", best)):
        if held is None or state[at]["step"] != step:
            continue
        if all(name in held and held[name].shape == buffer.shape for name, buffer in buffers.items()):
            for name, buffer in buffers.items():
                buffer.copy_(held[name])
            return True
    return False


def _measure_batch_norm(
    model: nn.Module, data: Data, batch_size: int, progress: Callable[[int, int], None] | None
) -> None:
    parts = [part for part in torch.split(torch.arange(len(data.train)), max(batch_size, 2)) if len(part) > 1]

    def batches() -> Iterator[torch.Tensor]:
        for done, part in enumerate(parts):
            if progress is not None:
                progress(done, len(parts))
            yield data.train.batch(part)[0]

    with torch.no_grad():
        update_bn(batches(), model)
