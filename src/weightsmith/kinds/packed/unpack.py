"""`unpack`: the continuous model behind a packed one."""

import copy

from torch import nn

from weightsmith.errors import InputError
from weightsmith.kinds.packed.folding import FoldedNorm
from weightsmith.kinds.packed.handed_signs import HandedSigns
from weightsmith.kinds.packed.layer import Layer
from weightsmith.kinds.packed.sign_pool import SignPool2d
from weightsmith.kinds.packed.substitute import substitute
from weightsmith.sources.module import unwrap


def unpack(packed: nn.Module) -> nn.Module:
    """A copy of a packed model in ordinary layers with float32 weights, in evaluation mode.

    Weights that were tied are tied again. Batch norms that were folded into the layer before them come back as norms
    that change nothing.

    Raises:
        InputError: no module, or nothing in it is packed.
    """
    if not isinstance(packed, nn.Module):
        raise InputError(f"only a torch.nn.Module can be unpacked, not a {type(packed).__name__}")
    model = copy.deepcopy(unwrap(packed)).eval()
    layers = [module for module in model.modules() if isinstance(module, Layer)]
    if not layers and not hasattr(model, "report"):
        raise InputError(f"nothing in this {type(model).__name__} is packed: give what `pack` returned")
    weights: dict[int, nn.Parameter] = {}
    replacements: dict[int, nn.Module] = {}
    for layer in layers:
        dense = layer.dense()
        weight = dense.weight
        assert isinstance(weight, nn.Parameter)
        dense.weight = weights.setdefault(id(layer.weight), weight)
        replacements[id(layer)] = dense.eval()
    place = layers[0].weight.device if layers else None
    for module in model.modules():
        if isinstance(module, Layer):
            place = module.weight.device  # a norm is where the layer before it is
        elif isinstance(module, (FoldedNorm, HandedSigns, SignPool2d)):
            replacements[id(module)] = module.dense().to(place)
    model = substitute(model, replacements)
    if hasattr(model, "report"):
        del model.report
    return model
