"""Activation maximization: the input that a unit likes best."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from weightsmith.errors import InputError
from weightsmith.explain.attribution import Maximized
from weightsmith.explain.layers import find_layer
from weightsmith.explain.question import answering, array, fitted, indices

STEPS = 256
RATE = 0.1
"""Step in units of the input's standard deviation, after the gradient is brought to a root mean square of one."""

DECAY = 0.05
"""Share of the input that is forgotten at each step, so that only what excites the unit stays."""

LIMIT = 3.0
"""Magnitude to which inputs are held: three deviations of standardized data."""

JITTER = 16
"""Images are shifted about by up to one place for so many of their shorter side: not at all where pixels are few."""

SMOOTHNESS = 0.1
"""Weight of the total variation of images, relative to the pull of the unit."""


def maximize_activation(
    model: nn.Module,
    input_shape: Sequence[int],
    units: Sequence[int],
    *,
    layer: str = "",
    steps: int = STEPS,
    rate: float = RATE,
    decay: float = DECAY,
    limit: float = LIMIT,
    smoothness: float = SMOOTHNESS,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Maximized:
    """Climb the gradient of each unit from faint noise, holding the input in range and, for images, smooth.

    Erhan et al. (2009), "Visualizing Higher-Layer Features of a Deep Network"; Simonyan et al. (2014), section 2; total
    variation and jitter as in Mahendran and Vedaldi (2015) and Olah, Mordvintsev and Schubert (2017), "Feature
    Visualization". A unit of a convolution is a channel, one of a layer over a sequence a feature: its mean over
    all places is raised.

    Args:
        model: any network; its parameters are left as they are.
        input_shape: of one row.
        units: outputs, neurons or channels of the layer; one input is made for each.
        layer: dotted name; by default the model's own output.
        steps: of the climb.
        rate: see `RATE`.
        decay: see `DECAY`.
        limit: see `LIMIT`.
        smoothness: weight of the total variation; 0 for none. Only for (channels, height, width).
        seed: of the noise and the jitter.
        progress: called with the steps done and all steps.

    Raises:
        InputError: a layer or unit that is not there, or a layer whose output is not (rows, units, ...).
    """
    if not units or steps < 1:
        raise InputError("name at least one unit and one step")
    generator = torch.Generator().manual_seed(seed)
    start = 0.1 * torch.randn((len(units), *input_shape), generator=generator, device="cpu")
    is_image = len(input_shape) == 3
    jitter = min(input_shape[-2:]) // JITTER if is_image else 0
    with _watching(model, layer) as watched:
        found = fitted(model, start)
        wanted = torch.as_tensor(list(units), dtype=torch.int64, device=found.device)
        _check_units(units, watched(found).shape[1])
        before = _activations(watched, found, wanted).detach()
        if not bool(torch.isfinite(before).all()):
            raise InputError(f"the values of {_called(layer)} are NaN or Inf: there is nothing to climb")
        for step in range(steps):
            shift = torch.randint(-jitter, jitter + 1, (2,), generator=generator, device="cpu").tolist()
            pull = _pull(watched, found, wanted, shift)
            if is_image and smoothness:
                pull = pull - smoothness * _roughness(found)
            found = ((1 - decay) * found + rate * pull).clamp(-limit, limit)
            if progress is not None:
                progress(step + 1, steps)
        after = _activations(watched, found, wanted).detach()
    return Maximized(layer, indices(wanted), array(found), array(before), array(after))


def count_units(model: nn.Module, input_shape: Sequence[int], layer: str = "") -> int:
    """How many units `maximize_activation` finds in a layer, by asking the model once.

    Raises:
        InputError: as `maximize_activation`.
    """
    with _watching(model, layer) as watched, torch.no_grad():
        return int(watched(fitted(model, torch.zeros(1, *input_shape))).shape[1])


@contextmanager
def _watching(model: nn.Module, layer: str) -> Iterator[Callable[[Tensor], Tensor]]:
    """The model in evaluation mode, as a function from its inputs to a layer's units: (rows, units)."""
    seen: list[Any] = []

    def remember(_module: nn.Module, _inputs: Any, output: Any) -> None:
        output = output[0] if isinstance(output, tuple) and output else output  # recurrent layers hand out states too
        # A copy, as an activation that works in place may follow.
        seen.append(output.clone() if isinstance(output, Tensor) else output)

    with answering(model) as answer:
        _, module = find_layer(model, layer)
        hook = module.register_forward_hook(remember)
        last = _units_last(model, module)

        def watched(inputs: Tensor) -> Tensor:
            seen.clear()
            answer(inputs)
            output = seen[-1] if seen else None
            if not isinstance(output, Tensor) or output.dim() < 1 or len(output) != len(inputs):
                raise InputError(f"the output of {_called(layer)} is not (rows, units, ...): choose another layer")
            if output.dim() < 3:
                return output.reshape(len(inputs), -1)
            return (output.movedim(-1, 1) if last else output).flatten(2).mean(dim=2)

        try:
            yield watched
        finally:
            hook.remove()


def _units_last(model: nn.Module, module: nn.Module) -> bool:
    """Whether a layer's units are on the last axis of its output, as in sequences, and not after the rows."""
    if isinstance(module, nn.Linear | nn.LayerNorm | nn.RMSNorm | nn.Embedding | nn.RNNBase | nn.MultiheadAttention):
        return True
    channels = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    return not any(isinstance(other, channels) for other in model.modules())


def _called(layer: str) -> str:
    return f"layer '{layer}'" if layer else "the model"


def _pull(watched: Callable[[Tensor], Tensor], current: Tensor, units: Tensor, shift: Sequence[int]) -> Tensor:
    """Where each unit wants its input to go.

    What excites it only at a certain pixel is not worth seeing, so images are shifted about.
    """
    leaf = current.clone().requires_grad_(True)
    moved = torch.roll(leaf, list(shift), dims=(-2, -1)) if any(shift) else leaf
    (pull,) = torch.autograd.grad(_activations(watched, moved, units).sum(), leaf)
    return _leveled(pull)


def _roughness(current: Tensor) -> Tensor:
    leaf = current.clone().requires_grad_(True)
    variation = leaf.diff(dim=-1).square().sum() + leaf.diff(dim=-2).square().sum()
    (rough,) = torch.autograd.grad(variation, leaf)
    return _leveled(rough)


def _leveled(gradient: Tensor) -> Tensor:
    """Each row's gradient at a root mean square of one; a dead unit's stays zero."""
    size = gradient.flatten(1).float().square().mean(dim=1).sqrt().clamp_min(1e-12)  # in 16 bits squares vanish
    return (gradient / size.reshape(-1, *[1] * (gradient.dim() - 1))).to(gradient.dtype)


def _activations(watched: Callable[[Tensor], Tensor], inputs: Tensor, units: Tensor) -> Tensor:
    """The value of each row's own unit: (rows,)."""
    return watched(inputs).gather(1, units[:, None])[:, 0]


def _check_units(units: Sequence[int], count: int) -> None:
    wrong = [unit for unit in units if not 0 <= unit < count]
    if wrong:
        raise InputError(f"there is no unit {wrong[0]}: there are {count}, 0 to {count - 1}")
