"""What one optimizer step did to its weights: the values before are copied, compared and forgotten."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from weightsmith.kernels.step import squared_norm, weight_statistics
from weightsmith.recording import device
from weightsmith.recording.discrete import Look, Masks, Signs, kinds_of
from weightsmith.recording.watched import Watched
from weightsmith.sketch import Sketch
from weightsmith.sources.module import as_numpy

_COMPILED = {torch.float32, torch.float16, torch.bfloat16}
"""Types that the compiled kernels take, the 16-bit ones after an exact conversion."""

Numbers = tuple[float, ...] | Tensor
_Key = tuple[str, int]


@dataclass
class WeightStep:
    """One weight over one step.

    Attributes:
        watched: the weight.
        size: number of values that the optimizer moves.
        numbers: `StepStatistics` in its order: six numbers, or a float64 tensor of them on the weight's device.
        gradient: sum of squares and number of non-finite values of its gradient; None where it had none.
        gradient_index: flat index of the gradient's first non-finite value, where that is known.
        effective: for a parametrized weight, sum of squares, zeros and non-finite values as the model uses it.
        discrete: more series of a binary, ternary or sparse weight.
    """

    watched: Watched
    size: int
    numbers: Numbers
    gradient: Numbers | None = None
    gradient_index: int | None = None
    effective: Numbers | None = None
    discrete: tuple[Look, ...] = ()


@dataclass
class StepMeasurement:
    """The weights of one optimizer, around one of its steps: `before`, `gradients`, `after`, in this order.

    Attributes:
        watched: the weights.
        signs: what is remembered of the binary and ternary ones, by name.
        masks: what is remembered of the sparse ones, by name.
    """

    watched: Sequence[Watched]
    signs: dict[str, Signs] = field(default_factory=dict, repr=False)
    masks: dict[str, Masks] = field(default_factory=dict, repr=False)
    _previous: dict[_Key, Tensor] = field(default_factory=dict, repr=False)
    _gradients: dict[str, Numbers] = field(default_factory=dict, repr=False)
    _located: dict[str, int | None] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        kinds = {one.name: (one, kinds_of(one)) for one in self.watched if one.parametrization is not None}
        discrete = {name: one for name, (one, found) in kinds.items() if found & {"binary", "ternary"}}
        sparse = {name: one for name, (one, found) in kinds.items() if "sparse" in found}
        self.signs = {name: self.signs.get(name) or Signs(one) for name, one in discrete.items()}
        self.masks = {name: self.masks.get(name) or Masks(one) for name, one in sparse.items()}

    def before(self) -> None:
        """Copy the weights. The copies' memory is kept for the next time: one more copy of what is trained."""
        self._gradients, self._located = {}, {}
        for watched in self.watched:
            for key, original in _moved(watched):
                copy = self._previous.get(key)
                if copy is None or copy.shape != original.shape or copy.device != original.device:
                    copy = self._previous[key] = torch.empty_like(original)
                copy.copy_(original)
        for signs in self.signs.values():
            signs.before()

    def gradients(self, scale: Tensor | None = None) -> None:
        """Measure the gradients as they are now, divided by `scale` (a loss scaler's) if given."""
        for watched in self.watched:
            found = [_squared_norm(gradient) for gradient in gradients_of(watched, scale)]
            if found:
                total = self._gradients[watched.name] = _added(found)
                if not isinstance(total, Tensor) and total[1]:
                    self._located[watched.name] = _locate_in_gradient(watched)

    def after(self) -> list[WeightStep]:
        """Compare the weights with the copies."""
        steps = []
        for watched in self.watched:
            moved = [(self._previous[key], now) for key, now in _moved(watched) if key in self._previous]
            if moved:
                numbers = _added([_weight_statistics(now, before) for before, now in moved])
                size = sum(now.numel() for _, now in moved)
                gradient, index = self._gradients.get(watched.name), self._located.get(watched.name)
                value = watched.value() if watched.parametrization is not None else None
                effective = None if value is None else _effective(value)
                looks = () if value is None else tuple(self._looks(watched.name, value))
                steps.append(WeightStep(watched, size, numbers, gradient, index, effective, looks))
        return steps

    def _looks(self, name: str, value: Tensor) -> Iterator[Look]:
        if name in self.signs:
            yield self.signs[name].after(value, self._previous.get((name, 0)))
        if name in self.masks:
            yield self.masks[name].after(value)


def gradients_of(watched: Watched, scale: Tensor | None = None) -> list[Tensor]:
    """The gradients that a weight's originals hold; of sparse ones the values that are there, repeated rows summed."""
    found = []
    for original in watched.originals():
        gradient = original.grad
        if gradient is not None:
            gradient = gradient.detach()
            gradient = gradient.coalesce().values() if gradient.is_sparse else gradient
            found.append(gradient if scale is None else gradient / scale.to(gradient.device))
    return found


def take_sketch(tensor: Tensor) -> Sketch | device.Copy:
    """The sketch of a tensor; of one on an accelerator a copy that is on its way, to be sketched when it is there."""
    values = tensor.detach()
    values = values.to_dense() if values.is_sparse else values
    values = torch.view_as_real(values.resolve_conj()) if values.is_complex() else values
    return device.Copy(values) if values.is_cuda else Sketch.of(as_numpy(values))


def sketch_of(part: Sketch | device.Copy) -> Sketch:
    """What `take_sketch` gave as a sketch, once its values are there."""
    return part if isinstance(part, Sketch) else Sketch.of(as_numpy(part.read()))


def take_gradient_sketches(watched: Watched, scale: Tensor | None = None) -> list[Sketch | device.Copy]:
    """Sketches, to be merged, of the gradients of a weight's originals, with the zeros that sparse ones leave out."""
    gradients = [original.grad for original in watched.originals() if original.grad is not None]
    return [
        take_sketch(gradient if scale is None else gradient.detach() / scale.to(gradient.device))
        for gradient in gradients
    ]


def locate_non_finite(tensor: Tensor) -> int | None:
    """Flat index of the first NaN or infinity of a tensor, or None."""
    values = tensor.detach()
    values = values.to_dense() if values.is_sparse else values
    bad = ~values.reshape(-1).isfinite()
    return int(bad.to(torch.uint8).argmax()) if bool(bad.any()) else None


def _locate_in_gradient(watched: Watched) -> int | None:
    # Of several originals none has the weight's own places.
    originals = watched.originals()
    gradient = originals[0].grad if len(originals) == 1 else None
    return None if gradient is None else locate_non_finite(gradient)


def _moved(watched: Watched) -> list[tuple[_Key, Tensor]]:
    """The originals that are being trained, detached, each with a key that survives a replaced parameter."""
    originals = enumerate(watched.originals())
    return [((watched.name, index), original.detach()) for index, original in originals if original.requires_grad]


def _host(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu" and tensor.dtype in _COMPILED


def _flat(tensor: Tensor) -> Tensor:
    # Strides may differ between a weight and its copy (channels last), and reshape puts both in the same order.
    return tensor.reshape(-1).float()


def _weight_statistics(after: Tensor, before: Tensor) -> Numbers:
    if _host(after):
        return weight_statistics(_flat(after).numpy(), _flat(before).numpy())
    return device.weight_statistics(after, before)


def _squared_norm(tensor: Tensor) -> Numbers:
    return squared_norm(_flat(tensor).numpy()) if _host(tensor) else device.squared_norm(tensor)


def _effective(value: Tensor) -> Numbers:
    if _host(value):
        flat = _flat(value).numpy()
        found = weight_statistics(flat, flat)
        return (found.square, found.zeros, found.non_finite)
    square, _, _, _, zeros, non_finite = device.weight_statistics(value, value)
    return torch.stack([square, zeros, non_finite])  # an index of several would make the device wait


def _added(parts: list[Numbers]) -> Numbers:
    """The element-wise sum; nearly always of a single part."""
    if len(parts) == 1:
        return parts[0]
    if any(isinstance(part, Tensor) for part in parts):
        return torch.stack([torch.as_tensor(part, dtype=torch.float64) for part in parts]).sum(0)
    return tuple(sum(column) for column in zip(*parts, strict=True))
