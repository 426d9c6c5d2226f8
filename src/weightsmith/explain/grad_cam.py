"""Grad-CAM: where in an image a convolutional network finds what it says."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.hooks import RemovableHandle

from weightsmith.errors import InputError
from weightsmith.explain.attribution import Attribution
from weightsmith.explain.layers import find_layer
from weightsmith.explain.question import Inputs, Targets, answering, array, ask, captum, fitted, indices
from weightsmith.names import printable


def grad_cam(model: nn.Module, inputs: Inputs, targets: Targets = None, *, layer: str | None = None) -> Attribution:
    """Regions that speak for an output, from the activations of a convolution weighted by their mean gradients.

    Selvaraju et al. (2017), "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization",
    equations 1 and 2. The map has the layer's resolution and is stretched to the input's.

    Args:
        model: a convolutional network that returns (rows, outputs).
        inputs: float (rows, channels, height, width).
        targets: as for `saliency`.
        layer: dotted name of the convolution; by default the last one over two dimensions that the model calls.

    Raises:
        InputError: inputs that are no images, a model without such a convolution, or a layer that is not there.
        MissingExtraError: captum is not installed.
    """
    methods = captum()
    with answering(model) as answer:
        rows = fitted(model, inputs)
        if rows.dim() != 4:
            raise InputError(f"Grad-CAM explains images (rows, channels, height, width), not shape {list(rows.shape)}")
        name, module = _convolution(model, layer, _used(model, answer, rows[:1]))
        chosen, outputs = ask(answer, rows, targets)
        coarse = methods.LayerGradCam(answer, module).attribute(
            rows.clone().requires_grad_(True), target=chosen, relu_attributions=True
        )
        values = F.interpolate(coarse, rows.shape[2:], mode="bilinear", align_corners=False)
    return Attribution("Grad-CAM", array(rows), array(values[:, 0]), indices(chosen), array(outputs), layer=name)


def _used(model: nn.Module, answer: Callable[[Tensor], Tensor], row: Tensor) -> dict[str, nn.Module]:
    """The model's convolutions in the order in which they are called, by name: layers may be declared in another."""
    used: dict[str, nn.Module] = {}

    def note(name: str, module: nn.Module) -> RemovableHandle:
        return module.register_forward_hook(lambda *_: used.update({name: module}))

    hooks = [note(name, module) for name, module in model.named_modules() if isinstance(module, nn.Conv2d)]
    try:
        with torch.no_grad():
            answer(row)
    finally:
        for hook in hooks:
            hook.remove()
    return used


def _convolution(model: nn.Module, layer: str | None, used: dict[str, nn.Module]) -> tuple[str, nn.Module]:
    if layer is None:
        if not used:
            raise InputError(
                "the model has no Conv2d layer, which Grad-CAM needs: use saliency or integrated gradients"
            )
        return list(used.items())[-1]
    name, module = find_layer(model, layer)
    if not isinstance(module, nn.Conv2d):
        raise InputError(f"layer '{name}' is a {type(module).__name__}: Grad-CAM needs a Conv2d")
    if name not in used:
        raise InputError(f"the model does not call its layer '{printable(name)}': choose another layer")
    return name, module
