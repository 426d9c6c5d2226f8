"""What a weight could become, layer by layer, and the choice among it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from weightsmith.kinds.graph import Graph, Node
from weightsmith.kinds.packed.candidates import LAYERS, Candidate, stands_as
from weightsmith.kinds.packed.choice import Choice
from weightsmith.kinds.packed.convolution import arguments
from weightsmith.kinds.packed.folding import affine, fold, norm_after
from weightsmith.kinds.packed.forms import fast_forms
from weightsmith.kinds.packed.layer import Layer
from weightsmith.kinds.packed.measure import measure
from weightsmith.kinds.packed.weight import PackedWeight
from weightsmith.kinds.packed.xnor import XnorLayer
from weightsmith.kinds.packed.xnor_conv2d import XnorConv2d
from weightsmith.kinds.packed.xnor_linear import XnorLinear
from weightsmith.packing import Encoded


@dataclass
class Plan:
    """What is to become of one weight.

    Attributes:
        group: where the model has it; several candidates where it is tied.
        norm: the batch norm to fold into it.
        form: what was chosen; `dense` to leave it.
        why: one line.
        seconds: what was measured.
        layers: by the `id` of the module that each one replaces; empty where it stays dense.
    """

    group: list[Candidate]
    norm: Node | None = None
    form: str = "dense"
    why: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)
    layers: dict[int, Layer] = field(default_factory=dict)

    @property
    def owners(self) -> dict[int, nn.Module]:
        """The modules that use the weight, by `id`."""
        return {id(candidate.owner): candidate.owner for candidate in self.group}

    def choices(self) -> dict[str, Choice]:
        """One for each name that the weight has."""
        first, *others = self.group
        took = next((layer.weight.nbytes for layer in self.layers.values()), _nbytes(first.owner))
        found = {first.info.name: Choice(first.info.name, self.form, self.why, self.seconds, took)}
        for other in others:
            same = "the module of" if other.owner is first.owner else "tied to"
            found[other.info.name] = Choice(other.info.name, self.form, f"{same} {first.info.name}")
        return found


def make_plan(group: list[Candidate], graph: Graph | None) -> Plan:
    """A plan for a weight, with the batch norm that can be folded into it."""
    single = len({id(candidate.owner) for candidate in group}) == 1 and len(group) == 1
    return Plan(group, norm_after(graph, group[0].path) if graph is not None and single else None)


def settle(plan: Plan, seen: Mapping[int, Tensor] | None, activations: str) -> None:
    """Choose what becomes of a weight.

    Args:
        plan: to be filled in.
        seen: what each module is given, by `id`; None to choose by size alone.
        activations: `float32` or `int8`.
    """
    builders = _builders(plan, activations)
    first = plan.group[0]
    inputs = None if seen is None else _inputs(first, seen)
    if inputs is None:
        offered = {name: build() for name, build in builders.items()}
        # signs with signs come first: as small as signs with floats, much faster, and exact
        name = min(offered, key=lambda name: (not name.startswith("xnor:"), _resident(offered[name])))
        plan.form, plan.layers = name.partition(":")[0], offered[name]
        times = 4 * first.info.size / max(1, _resident(plan.layers))
        plan.why = f"{times:.3g}x smaller than float32, {'not measured' if seen is None else _unmeasured(first)}"
        return
    built = {name: build() for name, build in builders.items()}
    shown = {name: layers[id(first.owner)] for name, layers in built.items()}
    taken = measure(first.owner, shown, inputs)
    best = min(built, key=taken.__getitem__)
    gain = taken["dense float32"] / taken[best]
    kind = best.partition(":")[0]
    plan.seconds = {**taken, kind: taken[best]}
    batch = len(inputs)
    if gain > 1:
        plan.form, plan.layers = kind, built[best]
        plan.why = f"{gain:.3g}x faster than dense float32 at batch {batch}"
    else:
        plan.why = f"float32 kept: {kind} would be {gain:.2g}x as fast at batch {batch}"


def _builders(plan: Plan, activations: str) -> dict[str, Callable[[], dict[int, Layer]]]:
    """What makes the layers of each candidate, by form and, where a form is held in several ways, `form:way`."""
    found: dict[str, Callable[[], dict[int, Layer]]] = {}
    for kind, encoded in plan.group[0].forms.items():
        ways = [f"words of {encoded.alphabet}"] if kind == "xnor" else fast_forms(encoded, activations)
        for way in ways:
            found[f"{kind}:{way}"] = lambda kind=kind, way=way: _build(plan, kind, way)  # type: ignore[misc]
    return found


def _build(plan: Plan, kind: str, way: str) -> dict[int, Layer]:
    """Layers that share one packed weight, with the batch norm folded in."""
    first = plan.group[0]
    encoded = first.forms[kind]
    weight: PackedWeight | None = None
    layers: dict[int, Layer] = {}
    for key, owner in plan.owners.items():
        bias = owner.bias
        assert bias is None or isinstance(bias, Tensor)
        place = device_of(owner)
        if weight is None:
            if plan.norm is not None and plan.norm.module is not None:
                encoded, bias = fold(encoded, bias, affine(plan.norm.module))
            if kind == "xnor":
                return {key: build_xnor(owner, encoded, bias).to(place).eval()}
            weight = PackedWeight(encoded, way)
        given = arguments(owner) if isinstance(owner, nn.Conv2d) else {}
        layers[key] = LAYERS[stands_as(owner)][kind](weight, bias, **given).to(place).eval()
    return layers


def build_xnor(owner: nn.Module, weight: Encoded, bias: Tensor | None, **options: Any) -> XnorLayer:
    """A layer over signs with the geometry of a layer of torch's."""
    if not isinstance(owner, nn.Conv2d):
        return XnorLinear(weight, bias, **options)
    given = arguments(owner)
    del given["groups"]
    return XnorConv2d(weight, bias, **given, **options)


def _resident(layers: Mapping[int, Layer]) -> int:
    """Bytes of the weight that these layers share."""
    return next(iter(layers.values())).weight.nbytes


def _inputs(candidate: Candidate, seen: Mapping[int, Tensor]) -> Tensor | None:
    """A batch for a layer: what it was given, or one random row for a linear layer that nothing is known of."""
    owner = candidate.owner
    if device_of(owner).type != "cpu":
        return None
    if id(owner) in seen:
        return seen[id(owner)].float()
    if isinstance(owner, nn.Linear) and not seen:
        return torch.randn(1, owner.in_features, device="cpu")
    return None


def _unmeasured(candidate: Candidate) -> str:
    place = device_of(candidate.owner).type
    if place != "cpu":
        return f"not measured on {place}, where it runs as dense"
    return "not measured: give a sample that reaches it"


def device_of(owner: nn.Module) -> torch.device:
    """Where the weight of a layer is."""
    weight = owner.weight
    assert isinstance(weight, Tensor)
    return weight.device


def _nbytes(owner: nn.Module) -> int:
    weight = owner.weight
    return weight.nbytes if isinstance(weight, Tensor) else 0
