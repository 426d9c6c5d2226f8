"""How much a model loses when one of its matrices alone becomes binary or sparse."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from weightsmith.errors import InputError
from weightsmith.kinds.selection import matrices, plain, require, select
from weightsmith.kinds.site import Site
from weightsmith.names import Patterns, choose

Target = Literal["binary", "sparse"]
Evaluate = Callable[[nn.Module], "float | Tensor"]
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Sensitivity:
    """What one matrix alone costs.

    Attributes:
        weight: its name.
        to: `binary` or `sparse`.
        size: number of its values.
        before: what the evaluation gave for the model as it is.
        after: with this matrix alone changed.
        error: sum of squares of the change over that of the matrix; 0 for none, 1 for all of it.
    """

    weight: str
    to: Target
    size: int
    before: float
    after: float
    error: float

    @property
    def change(self) -> float:
        """`after - before`."""
        return self.after - self.before

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain JSON values."""
        return {**asdict(self), "change": self.change}

    def __str__(self) -> str:
        return f"{self.weight} {self.to}: {self.before:.4g} -> {self.after:.4g} ({self.change:+.3g})"


def sensitivity(
    model: nn.Module,
    evaluate: Evaluate,
    *,
    to: Target = "binary",
    sparsity: float = 0.9,
    include: Patterns = "*",
    exclude: Patterns = (),
    progress: Progress | None = None,
) -> list[Sensitivity]:
    """Make each matrix alone binary or sparse and evaluate the model; the model is left as it was.

    Binary is the sign times mean |w| of each output channel (Rastegari et al. 2016), sparse is without the smallest
    magnitudes. Nothing is trained on: what a layer costs after training is less, but the order mostly stays.

    Args:
        model: any module. It is in evaluation mode while it is evaluated.
        evaluate: called with the model; returns one number, such as its accuracy or loss on rows kept apart.
        to: `binary` or `sparse`.
        sparsity: share of zeros, from 0 up to but not including 1, for `sparse`.
        include: shell patterns of the weights to try, as for `apply`.
        exclude: the same for weights to leave alone.
        progress: called before each evaluation with the number done, their total and the weight at hand.

    Returns:
        One record for each matrix that was tried, in the model's order.

    Raises:
        InputError: nothing to try, an unknown target, a sparsity out of range, or an evaluation that is no number.
    """
    choose(to, get_args(Target), "target")
    if not 0 <= sparsity < 1:
        raise InputError(f"sparsity is a share of zeros from 0 up to below 1, not {sparsity!r}")
    if not callable(evaluate):
        raise InputError(f"evaluate is a function from the model to a number, not a {type(evaluate).__name__}")
    sites, left = plain(*select(model, include, exclude))
    require(sites, "tried", left)
    sizes = {info.name: info.size for info in matrices(model)}
    found = []
    with _evaluating(model):
        _tell(progress, 0, len(sites) + 1, "the model as it is")
        before = _number(evaluate(model))
        for done, site in enumerate(sites, 1):
            _tell(progress, done, len(sites) + 1, site.name)
            changed = binarized(site) if to == "binary" else pruned(site.stored.detach(), sparsity)
            error = _error(site.stored.detach(), changed)
            with _replaced(site.stored, changed):
                after = _number(evaluate(model))
            found.append(Sensitivity(site.name, to, sizes[site.name], before, after, error))
    return found


def binarized(site: Site) -> Tensor:
    """The weight of a site as the sign (0 is positive) times mean |w| of each output channel."""
    weight = site.stored.detach()
    grouped = site.by_channel(weight)
    scale = grouped.abs().mean(site.shared_dimensions(grouped), keepdim=True)
    return torch.where(grouped >= 0, scale, -scale).reshape(weight.shape)


def pruned(weight: Tensor, sparsity: float) -> Tensor:
    """A weight with that share of its values, the smallest in magnitude, set to 0."""
    kept = weight.clone().reshape(-1)
    count = round(sparsity * kept.numel())
    kept[kept.abs().topk(count, largest=False).indices] = 0
    return kept.reshape(weight.shape)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def _replaced(stored: Tensor, values: Tensor) -> Iterator[None]:
    kept = stored.detach().clone()
    try:
        with torch.no_grad():
            stored.copy_(values)
        yield
    finally:
        with torch.no_grad():
            stored.copy_(kept)


def _error(weight: Tensor, changed: Tensor) -> float:
    total = weight.double().square().sum()
    return float((weight.double() - changed.double()).square().sum() / total) if total > 0 else 0.0


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError):
        raise InputError(f"evaluate has to return one number, not {type(value).__name__} {value!s:.60}") from None


def _tell(progress: Progress | None, done: int, total: int, what: str) -> None:
    if progress is not None:
        progress(done, total, what)
