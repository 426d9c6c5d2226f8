"""The model of a run, built again, and what it can be asked."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from weightsmith.errors import InputError, WeightsmithError
from weightsmith.names import printable
from weightsmith.store import Run
from weightsmith.train.rebuildable import rebuildable_recipe
from weightsmith.web.explained.share import SHARE
from weightsmith.web.work import Check

if TYPE_CHECKING:
    from torch import nn

    from weightsmith.train.data import Data, Split

LAYERS = 200
"""Most layers whose units are offered."""

_BUILDING = threading.Lock()
"""One model at a time is built: the seed of its first weights is torch's own, for all threads."""

_FAILURES = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What a recipe that somebody else wrote may make of us."""


@dataclass(frozen=True)
class Layer:
    """A layer whose units can be asked what they like.

    Attributes:
        name: dotted; empty for the model's output.
        kind: its class.
        units: how many.
        is_convolution: whether Grad-CAM can look from it.
    """

    name: str
    kind: str
    units: int
    is_convolution: bool


@dataclass(frozen=True, eq=False)
class Explained:
    """A model that can be asked.

    Attributes:
        model: in evaluation mode, with the weights that the run kept.
        data: what it was trained on.
        split: `test`, or `validation` where there is no test set.
        rows: of that split.
        step: of the weights.
        note: what is not as it was in the training; empty where nothing is.
        names: of the outputs, where they have any.
        layers: in the model's order, its output first.
    """

    model: "nn.Module"
    data: "Data"
    split: str
    rows: "Split"
    step: int
    note: str
    names: Sequence[str] | None
    layers: tuple[Layer, ...]

    @property
    def methods(self) -> tuple[str, ...]:
        """Which methods apply, as addresses name them."""
        found = ("saliency", "integrated-gradients")
        has_maps = self.data.is_image and any(layer.is_convolution for layer in self.layers)
        return (*found, "grad-cam") if has_maps else found

    @property
    def output_names(self) -> list[str]:
        """What to call each output."""
        count = self.data.outputs
        if self.names is None:
            return ["prediction"] if count == 1 else [f"output {place}" for place in range(count)]
        return [printable(str(name)) for name in self.names]

    @property
    def nbytes(self) -> int:
        """Of the model and all rows in memory."""
        held = sum(value.nbytes for value in self.model.state_dict().values())
        splits = (self.data.train, self.data.validation, self.data.test)
        return int(held + sum(_held(split.inputs) for split in splits if split is not None))


def build(run: Run, still_wanted: Check) -> Explained:
    """Build a run's model anew, and read its data.

    Raises:
        InputError, SourceError, StoreError: why it cannot be done, and what to do.
        MissingExtraError: captum is not installed.
    """
    rebuildable_recipe(run)  # before torch is imported: of most that cannot be asked, this is all there is to do
    from weightsmith.explain.question import captum
    from weightsmith.train.rebuild import rebuild

    captum()
    with _BUILDING, SHARE.taken():
        try:
            _refuse_own_code(run)
            rebuilt = rebuild(run, progress=lambda *_: still_wanted())
        except WeightsmithError:  # which says what is wrong and what to do
            raise
        except _FAILURES as error:
            reason = printable(" ".join(str(error).split())[:300])
            raise InputError(f"the model of run {run.id} cannot be built here: {reason}") from error
        split, rows = rebuilt.held_out
        if not len(rows):
            raise InputError(f"run {run.id} kept no rows for validation or test: there is nothing to explain")
        layers = tuple(_layers(rebuilt.model, rebuilt.data.input_shape, still_wanted))
    names = rebuilt.output_names
    return Explained(rebuilt.model, rebuilt.data, split, rows, rebuilt.step, rebuilt.note, names, layers)


def _refuse_own_code(run: Run) -> None:
    """A look at a run must not run whatever code its recipe names."""
    from weightsmith.train.recipe import Recipe

    name = "" if run.recipe is None else Recipe.from_dict(run.recipe).model.name
    if ":" in name:
        raise InputError(
            f"the model of run {run.id} is code of your own ({printable(name[:100])}), which the page does not run: "
            f"call weightsmith sensitivity {run.id} in a terminal"
        )


def _held(inputs: Any) -> int:
    """Bytes of stored rows: a sparse matrix is three arrays."""
    parts = (inputs.data, inputs.indices, inputs.indptr) if hasattr(inputs, "indptr") else (inputs,)
    return sum(int(part.nbytes) for part in parts)


def _layers(model: "nn.Module", input_shape: Sequence[int], still_wanted: Check) -> Iterator[Layer]:
    """The output, then the layers with weights of their own that the model calls."""
    from torch import nn

    from weightsmith.explain import count_units

    for place, (name, module) in enumerate(model.named_modules()):
        if name and not list(module.parameters(recurse=False)):
            continue
        if place >= LAYERS:
            return
        still_wanted()
        try:
            units = count_units(model, input_shape, name)
        except InputError:  # not called, or no units that could be told apart
            continue
        yield Layer(printable(name), type(module).__name__, units, isinstance(module, nn.Conv2d))
