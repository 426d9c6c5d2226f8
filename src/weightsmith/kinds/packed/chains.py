"""Chains of layers that hand signs to each other: which layers see signs alone, and which can give them as bits."""

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from weightsmith.kinds.binary import BinaryActivation
from weightsmith.kinds.graph import Graph, Node
from weightsmith.kinds.packed.convolution import arguments, geometry_like
from weightsmith.kinds.packed.folding import NORMS, TRANSPARENT, FoldedNorm, foldable
from weightsmith.kinds.packed.handed_signs import HandedSigns
from weightsmith.kinds.packed.plan import Plan, build_xnor, device_of
from weightsmith.kinds.packed.sign_pool import SignPool2d, pair, window
from weightsmith.kinds.packed.thresholds import thresholds
from weightsmith.kinds.packed.xnor import Gives
from weightsmith.kinds.packed.xnor_linear import XnorLinear

_RESHAPING = ("flatten", "view", "reshape", "permute", "transpose", "unsqueeze", "squeeze", "contiguous", "max_pool2d")
"""Functions whose outputs are signs where their first input is."""


@dataclass
class Passage:
    """What lies between a layer of dot products and the layer that takes its signs.

    Attributes:
        norm: the batch norm.
        pools: max pools, those before the activation first.
        early: how many of them are before it.
        activation: the binary activation.
        consumer: the layer that alone takes the signs, if there is one.
        flat: whether an image is flattened on the way.
    """

    norm: Node | None = None
    pools: list[Node] = field(default_factory=list)
    early: int = 0
    activation: Node | None = None
    consumer: Node | None = None
    flat: bool = False


def offer_signs(graph: Graph, plan: Plan) -> None:
    """Let a binary weight be multiplied with signs alone, where that is all it sees."""
    candidate = plan.group[0]
    owner, encoded = candidate.owner, candidate.forms.get("binary")
    if (
        encoded is None
        or len(plan.group) > 1
        or device_of(owner).type != "cpu"
        or not sees_signs(graph, candidate.path)
    ):
        return
    if isinstance(owner, nn.Conv2d):
        given = arguments(owner)
        _, before = geometry_like(encoded.shape, **given)
        if owner.groups > 1 or any(before):
            return
    candidate.forms = {"xnor": encoded, **candidate.forms}


def sees_signs(graph: Graph, path: str) -> bool:
    """Whether all that a layer is given comes out of a binary activation."""
    node = graph.only_call(path)
    while node is not None:
        before = next((each for each in node.arguments if isinstance(each, Node)), None)
        if before is None:
            return False
        if isinstance(before.module, BinaryActivation):
            return True
        keeps = isinstance(before.module, (*TRANSPARENT, nn.MaxPool2d, nn.Flatten)) or before.function in _RESHAPING
        node = before if keeps else None
    return False


def passage(graph: Graph, path: str) -> Passage | None:
    """What follows a layer up to a binary activation, and on to the layer behind it; None where there is none."""
    start = graph.only_call(path)
    if start is None:
        return None
    found = Passage()
    for node in graph.chain(start):
        if isinstance(node.module, TRANSPARENT):
            continue
        if isinstance(node.module, nn.MaxPool2d) and not found.flat and _poolable(node.module):
            found.pools.append(node)
            found.early += found.activation is None
        elif isinstance(node.module, NORMS) and found.norm is None and found.activation is None:
            if not foldable(graph, node, start):
                return None
            found.norm = node
        elif isinstance(node.module, BinaryActivation) and found.activation is None:
            found.activation = node
        elif found.activation is not None and _flattens(node):
            found.flat = True
        else:
            found.consumer = node if node.module is not None and found.activation is not None else None
            break
    return found if found.activation is not None else None


def _poolable(pool: nn.MaxPool2d) -> bool:
    return not pool.ceil_mode and not pool.return_indices and pair(pool.dilation) == (1, 1)


def _flattens(node: Node) -> bool:
    if isinstance(node.module, nn.Flatten):
        return node.module.start_dim == 1 and node.module.end_dim == -1
    return node.function == "flatten" and node.arguments[1:] == (1,) and not node.options


def hand_over(graph: Graph, plans: list[Plan], notes: list[str]) -> dict[int, nn.Module]:
    """Replace batch norms and binary activations after layers of signs by thresholds.

    Args:
        graph: of the model.
        plans: settled; the layers of those that are `xnor` are replaced.
        notes: to be added to.

    Returns:
        What takes the place of the other modules on the way.
    """
    by_path = {plan.group[0].path: plan for plan in plans if plan.form == "xnor"}
    found: dict[int, nn.Module] = {}
    for path, plan in by_path.items():
        between = passage(graph, path)
        if between is None or between.activation is None:
            continue
        consumer = by_path.get(between.consumer.path) if between.consumer is not None else None
        channels = _handed(plan, consumer, between)
        made = _threshold(graph, plan, between, "bits" if channels is not None else "signs")
        if made is None:
            notes.append(f"{path}: batch norm and sign stay floats: they are not finite, or share a pool with others")
            continue
        found.update(made)
        notes.append(_note(path, between, channels is not None))
        if consumer is not None and channels:
            _flat_inputs(consumer, channels)
    return found


def _handed(plan: Plan, consumer: Plan | None, between: Passage) -> int | None:
    """Channels of the image that a linear layer takes flattened, 0 where there is none; None where no bits go over."""
    if consumer is None:
        return None
    from_image, to_image = (isinstance(each.group[0].owner, nn.Conv2d) for each in (plan, consumer))
    if from_image == to_image:
        return None if between.flat else 0
    outputs = plan.group[0].info.shape[0]
    fits = from_image and between.flat and consumer.group[0].info.shape[1] % outputs == 0
    return outputs if fits else None


def _threshold(graph: Graph, plan: Plan, between: Passage, gives: Gives) -> dict[int, nn.Module] | None:
    """Give a plan's layer its thresholds, and say what takes the places of the modules behind it."""
    candidate = plan.group[0]
    encoded = candidate.forms["xnor"]
    scale = encoded.tensors.get("scale")
    norm = between.norm.module if between.norm is not None else None
    rows, columns = encoded.matrix
    owner = candidate.owner
    bias = owner.bias
    assert bias is None or isinstance(bias, Tensor)
    found = thresholds(
        norm,
        None if scale is None else torch.from_numpy(scale),
        bias,
        rows,
        columns,
        images=isinstance(owner, nn.Conv2d),
    )
    if found is None:
        return None
    threshold, slope, offset = found
    early = between.pools[: between.early]
    if bool((slope < 0).any()) and any(graph.only_call(pool.path) is None for pool in early):
        return None  # a pool that turns some channels around for this layer alone
    bare = replace(encoded, tensors={"bits": encoded.tensors["bits"]})
    given: dict[str, Any] = {"threshold": threshold, "slope": slope, "offset": offset, "gives": gives}
    old = plan.layers[id(owner)]
    if isinstance(old, XnorLinear):
        given["channels"] = old.channels
    plan.layers[id(owner)] = build_xnor(owner, bare, None, **given).to(device_of(owner)).eval()
    return _behind(between, slope < 0, 4 if isinstance(owner, nn.Conv2d) else 2)


def _behind(between: Passage, flip: Tensor, dimensions: int) -> dict[int, nn.Module]:
    found: dict[int, nn.Module] = {}
    for index, node in enumerate(between.pools):
        pool = node.module
        assert isinstance(pool, nn.MaxPool2d)
        turned = flip if index < between.early and bool(flip.any()) else None
        found[id(pool)] = SignPool2d(*window(pool), turned).eval()
    if between.norm is not None:
        norm = between.norm.module
        assert isinstance(norm, nn.modules.batchnorm._BatchNorm)
        found[id(norm)] = FoldedNorm(norm.num_features, dimensions, norm.eps, flip if bool(flip.any()) else None).eval()
    assert between.activation is not None
    assert isinstance(between.activation.module, BinaryActivation)
    found[id(between.activation.module)] = HandedSigns(between.activation.module).eval()
    return found


def _flat_inputs(consumer: Plan, channels: int) -> None:
    """Let a linear layer take a packed image of so many channels, flattened."""
    key = id(consumer.group[0].owner)
    old = consumer.layers[key]
    assert isinstance(old, XnorLinear)
    given = {"threshold": old.threshold, "slope": old.slope, "offset": old.offset, "gives": old.gives}
    made = XnorLinear(old.stored(), old.bias, **given, channels=channels)  # type: ignore[arg-type]
    consumer.layers[key] = made.to(old.weight.device).eval()


def _note(path: str, between: Passage, bits: bool) -> str:
    steps = [str(node) for node in (between.norm, between.activation) if node is not None]
    to = f" and handed to {between.consumer} as bits" if bits else ""
    return f"{', '.join(steps)}: folded into thresholds of {path}{to}"
