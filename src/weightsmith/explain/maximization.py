"""Activation maximization: the input that a unit likes best."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from weightsmith.errors import InputError
from weightsmith.explain.attribution import Maximized
from weightsmith.explain.layers import find_layer
from weightsmith.explain.question import answering, array, indices

STEPS = 256
RATE = 0.1
"""Step in units of the input's standard deviation, after the gradient is brought to a root mean square of one."""

DECAY = 0.05
"""Share of the input that is forgotten at each step, so that only what excites the unit stays."""

LIMIT = 3.0
"""Magnitude to which inputs are held: three deviations of standardized data."""

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
    Visualization". A unit of a convolution is a channel: its mean over all places is raised.

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
    name, module = find_layer(model, layer)
    generator = torch.Generator().manual_seed(seed)
    start = 0.1 * torch.randn((len(units), *input_shape), generator=generator)
    wanted = torch.as_tensor(list(units), dtype=torch.int64)
    is_image = len(input_shape) == 3
    seen: list[Tensor] = []
    hook = module.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    try:
        with answering(model) as place:
            found, wanted = start.to(place), wanted.to(place)
            before = _activations(model, found, wanted, seen, name).detach()
            for step in range(steps):
                shift = torch.randint(-2, 3, (2,), generator=generator).tolist() if is_image else [0, 0]
                pull = _pull(model, found, wanted, seen, name, shift)
                if is_image and smoothness:
                    pull = pull - smoothness * _roughness(found)
                found = ((1 - decay) * found + rate * pull).clamp(-limit, limit)
                if progress is not None:
                    progress(step + 1, steps)
            after = _activations(model, found, wanted, seen, name).detach()
    finally:
        hook.remove()
    return Maximized(name, indices(wanted), array(found), array(before), array(after))


def _pull(
    model: nn.Module, current: Tensor, units: Tensor, seen: list[Tensor], layer: str, shift: Sequence[int]
) -> Tensor:
    """Where each unit wants its input to go.

    What excites it only at a certain pixel is not worth seeing, so images are shifted about.
    """
    leaf = current.clone().requires_grad_(True)
    moved = torch.roll(leaf, list(shift), dims=(-2, -1)) if any(shift) else leaf
    (pull,) = torch.autograd.grad(_activations(model, moved, units, seen, layer).sum(), leaf)
    return _leveled(pull)


def _roughness(current: Tensor) -> Tensor:
    leaf = current.clone().requires_grad_(True)
    variation = leaf.diff(dim=-1).square().sum() + leaf.diff(dim=-2).square().sum()
    (rough,) = torch.autograd.grad(variation, leaf)
    return _leveled(rough)


def _leveled(gradient: Tensor) -> Tensor:
    """Each row's gradient at a root mean square of one; a dead unit's stays zero."""
    size = gradient.flatten(1).square().mean(dim=1).sqrt().clamp_min(1e-12)
    return gradient / size.reshape(-1, *[1] * (gradient.dim() - 1))


def _activations(model: nn.Module, inputs: Tensor, units: Tensor, seen: list[Tensor], layer: str) -> Tensor:
    """The value of each row's own unit: (rows,)."""
    seen.clear()
    model(inputs)
    output = seen[-1] if seen else None
    label = f"layer '{layer}'" if layer else "the model"
    if not isinstance(output, Tensor) or output.dim() < 2 or len(output) != len(inputs):
        raise InputError(f"the output of {label} is not (rows, units, ...): choose another layer")
    if not (int(units.min()) >= 0 and int(units.max()) < output.shape[1]):
        raise InputError(f"{label} has units 0 to {output.shape[1] - 1}, not {int(units.max())}")
    per_unit = output.flatten(2).mean(dim=2) if output.dim() > 2 else output
    return per_unit.gather(1, units[:, None])[:, 0]
