"""`shrink`: make layers as small as what is left in them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from weightsmith.errors import InputError
from weightsmith.kinds.bake import bake
from weightsmith.kinds.graph import Graph, Node, trace
from weightsmith.kinds.shares import check_sparsity
from weightsmith.kinds.structured.constants import constants_of
from weightsmith.kinds.structured.cuts import (
    Layer,
    add_constants,
    inputs_of_channels,
    keep_channels,
    keep_inputs,
    keep_outputs,
    outputs_first,
    takes_constants,
)
from weightsmith.kinds.structured.shapes import shapes_of
from weightsmith.kinds.structured.spaces import Space, spaces_of
from weightsmith.sources.module import unwrap


@dataclass(frozen=True)
class Cut:
    """One layer before and after.

    Attributes:
        layer: its path.
        outputs: how many outputs it had.
        left: how many it has.
        reason: why no more of them went.
    """

    layer: str
    outputs: int
    left: int
    reason: str

    def __str__(self) -> str:
        return f"{self.layer}: {self.left} of {self.outputs} outputs left, {self.reason}"


@dataclass(frozen=True)
class Shrunk:
    """What `shrink` did.

    Attributes:
        shapes: of every layer, as plain values: what `resize` needs beside the `state_dict`.
        cuts: one for each layer.
    """

    shapes: dict[str, dict[str, list[int]]]
    cuts: Sequence[Cut]

    def __str__(self) -> str:
        return "\n".join(map(str, self.cuts))


def shrink(model: nn.Module, sparsity: float | None = None) -> Shrunk:
    """Remove outputs that make no difference from linear and convolution layers, and the inputs that follow them.

    An output goes where it is constant (all its weights are 0) or nothing uses it (all weights of the following layers
    are 0 for it). Constants are carried through batch norm, activations and pooling into the biases that follow; one
    that cannot be, because the next convolution pads with zeros around it, keeps its output unless it is 0. Outputs
    that sums join go together or not at all. What the model takes in and returns keeps its shape. In evaluation the
    model computes what it did, up to rounding.

    Args:
        model: any module that can be traced, changed in place; its weights are baked first (`bake`). Build the
            optimizer anew.
        sparsity: share of the outputs of each layer to set to 0 before, those of least mean square together with what
            belongs to them; None for none.

    Returns:
        The new shapes, and what became of each layer.

    Raises:
        InputError: a model that cannot be traced, or a share out of range.
    """
    if sparsity is not None:
        check_sparsity(sparsity)
    if not isinstance(model, nn.Module):
        raise InputError(f"only the layers of a torch.nn.Module can be shrunk, not those of a {type(model).__name__}")
    model = unwrap(model)
    trace(model)  # refuses before anything is changed
    bake(model)
    layers = {path: each for path, each in model.named_modules() if isinstance(each, (nn.Linear, _ConvNd))}
    before = {path: _outputs(layer) for path, layer in layers.items()}
    with torch.no_grad():
        if sparsity:
            for space in spaces_of(trace(model)):
                _clear_lowest(space, sparsity)
        while _pass(model):
            pass
    reasons = _reasons(trace(model))
    cuts = [
        Cut(path, count, _outputs(layers[path]), reasons.get(path, "which is not called, or more than once"))
        for path, count in before.items()
    ]
    return Shrunk(shapes_of(model), cuts)


def _outputs(module: nn.Module) -> int:
    assert isinstance(module, (nn.Linear, _ConvNd))
    return int(module.out_features if isinstance(module, nn.Linear) else module.out_channels)


def _reasons(graph: Graph) -> dict[str, str]:
    spaces = list(spaces_of(graph))
    return {
        node.path: f"all stay: {space.fixed}" if space.fixed else "each of which makes a difference"
        for space in spaces
        for node in space.producers
    }


def _clear_lowest(space: Space, sparsity: float) -> None:
    """Set outputs of least mean square to 0, with their biases and norms."""
    if space.fixed or not space.size:
        return
    scores = torch.zeros(space.size, device="cpu")
    for node in space.producers:
        squares = outputs_first(_layer(node)).float().square().flatten(1).mean(1).cpu()
        scores += squares / squares.mean().clamp(min=torch.finfo(torch.float32).tiny)
    gone = scores.topk(min(round(sparsity * space.size), space.size - 1), largest=False).indices
    for node in (*space.producers, *space.followers):
        for name in ("weight", "bias"):
            tensor = getattr(node.module, name, None)
            if isinstance(tensor, Tensor) and not isinstance(node.module, nn.PReLU):
                along = 1 if tensor.dim() > 1 and _outputs_second(node) else 0
                tensor.index_fill_(along, gone.to(tensor.device), 0.0)


def _outputs_second(node: Node) -> bool:
    """Whether a layer's outputs lie along the second dimension of its weight."""
    return isinstance(node.module, _ConvTransposeNd)


def _pass(model: nn.Module) -> bool:
    """Remove what can go now; whether anything did. What goes may free what comes before."""
    graph = trace(model)
    spaces = spaces_of(graph)
    constants = constants_of(graph, spaces)
    changed = False
    for space in spaces:
        if space.fixed or space.size < 2:
            continue
        gone = _removable(space, constants)
        if bool(gone.all()):
            gone[0] = False  # layers of no outputs are more trouble than they save
        if bool(gone.any()):
            _remove(space, gone, constants)
            changed = True
            break  # sizes and constants elsewhere are to be looked at anew
    return changed


def _removable(space: Space, constants: dict[Node, Tensor]) -> Tensor:
    gone = torch.ones(space.size, dtype=torch.bool, device="cpu")
    for node in space.consumers:
        layer, constant = _layer(node), _input_constant(node, space, constants).cpu()
        unused = (inputs_of_channels(layer, space.size) == 0).flatten(2).all(2).all(0).cpu()
        folds = constant.isfinite() if takes_constants(layer) else constant == 0
        gone &= folds | unused
    return gone


def _input_constant(node: Node, space: Space, constants: dict[Node, Tensor]) -> Tensor:
    unknown = torch.full((space.size,), torch.nan, device=_layer(node).weight.device)
    return constants.get(node.inputs[0], unknown)


def _remove(space: Space, gone: Tensor, constants: dict[Node, Tensor]) -> None:
    keep = (~gone).nonzero().flatten()
    for node in space.consumers:
        layer, constant = _layer(node), _input_constant(node, space, constants)
        folded = torch.where(gone.to(constant.device) & constant.isfinite(), constant, 0.0)
        if bool((folded != 0).any()):
            add_constants(layer, folded, space.size)
    for node in space.consumers:
        keep_inputs(_layer(node), keep, space.size)
    for node in space.producers:
        keep_outputs(_layer(node), keep)
    for node in space.followers:
        assert node.module is not None
        keep_channels(node.module, keep)


def _layer(node: Node) -> Layer:
    assert isinstance(node.module, (nn.Linear, _ConvNd))
    return node.module
