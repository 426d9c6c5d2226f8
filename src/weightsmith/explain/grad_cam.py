"""Grad-CAM: where in an image a convolutional network finds what it says."""

from torch import Tensor, nn
from torch.nn import functional as F

from weightsmith.errors import InputError
from weightsmith.explain.attribution import Attribution
from weightsmith.explain.layers import find_layer
from weightsmith.explain.question import Targets, answering, array, ask, captum, indices


def grad_cam(model: nn.Module, inputs: Tensor, targets: Targets = None, *, layer: str | None = None) -> Attribution:
    """Regions that speak for an output, from the activations of a convolution weighted by their mean gradients.

    Selvaraju et al. (2017), "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization",
    equations 1 and 2. The map has the layer's resolution and is stretched to the input's.

    Args:
        model: a convolutional network that returns (rows, outputs).
        inputs: float (rows, channels, height, width).
        targets: as for `saliency`.
        layer: dotted name of the convolution; by default the last one over two dimensions.

    Raises:
        InputError: inputs that are no images, a model without such a convolution, or a layer that is not there.
        MissingExtraError: captum is not installed.
    """
    methods = captum()
    if inputs.dim() != 4:
        raise InputError(f"Grad-CAM explains images (rows, channels, height, width), not shape {list(inputs.shape)}")
    name, module = _convolution(model, layer)
    with answering(model) as place:
        rows = inputs.detach().to(place)
        chosen, outputs = ask(model, rows, targets)
        coarse = methods.LayerGradCam(model, module).attribute(
            rows.clone().requires_grad_(True), target=chosen, relu_attributions=True
        )
        values = F.interpolate(coarse, rows.shape[2:], mode="bilinear", align_corners=False)
    return Attribution("Grad-CAM", array(rows), array(values[:, 0]), indices(chosen), array(outputs), layer=name)


def _convolution(model: nn.Module, layer: str | None) -> tuple[str, nn.Module]:
    if layer is not None:
        name, module = find_layer(model, layer)
        if not isinstance(module, nn.Conv2d):
            raise InputError(f"layer '{name}' is a {type(module).__name__}: Grad-CAM needs a Conv2d")
        return name, module
    found = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Conv2d)]
    if not found:
        raise InputError("the model has no Conv2d layer, which Grad-CAM needs: use saliency or integrated gradients")
    return found[-1]
