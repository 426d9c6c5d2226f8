"""Which layers share their channels: what one layer puts out, norms scale, sums join and others take in."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils import parametrize

from weightsmith.kinds.graph import Graph, Node
from weightsmith.kinds.structured.steps import (
    READS,
    is_elementwise,
    is_pool,
    pools,
    reduces_positions,
    works_on_each,
)


@dataclass(eq=False)
class Space:
    """Channels that stay or go together.

    Attributes:
        size: how many.
        fixed: why all of them stay; empty where some may go.
        producers: calls of layers that put them out; several where a sum joins them.
        followers: calls of modules with a parameter for each (norms, PReLU).
        consumers: calls of layers that take them in.
    """

    size: int
    fixed: str = ""
    producers: list[Node] = field(default_factory=list)
    followers: list[Node] = field(default_factory=list)
    consumers: list[Node] = field(default_factory=list)
    _joined: "Space | None" = None

    def root(self) -> "Space":
        """The space that this one has been joined to."""
        return self if self._joined is None else self._joined.root()

    def join(self, other: "Space") -> None:
        """Make one space of two."""
        one, two = self.root(), other.root()
        if one is two:
            return
        one.fixed = one.fixed or two.fixed
        one.producers += two.producers
        one.followers += two.followers
        one.consumers += two.consumers
        two._joined = one


@dataclass(frozen=True)
class Value:
    """What a step puts out, as far as channels go.

    Attributes:
        space: its channels; None where they are none of a layer's.
        positions: how many dimensions it has behind the channels.
        flat: whether positions have been flattened into the channels, each channel's together.
    """

    space: Space | None = None
    positions: int = 0
    flat: bool = False

    def fix(self, reason: str) -> None:
        """All channels stay."""
        if self.space is not None and not self.space.root().fixed:
            self.space.root().fixed = reason


@dataclass(frozen=True, eq=False)
class Spaces:
    """All channels of a model.

    Attributes:
        values: of each step.
    """

    values: Mapping[Node, Value]

    def __iter__(self) -> Iterator[Space]:
        """Each space once."""
        found = [value.space.root() for value in self.values.values() if value.space is not None]
        return iter(dict.fromkeys(found))


def spaces_of(graph: Graph) -> Spaces:
    """Follow channels through a graph. What is not understood keeps its channels."""
    values: dict[Node, Value] = {}
    shared = _shared(graph)
    for node in graph.nodes:
        inputs = [values[before] for before in node.inputs]
        if node.operation == "module":
            values[node] = _unknown(node, inputs) if node.path in shared else _module(node, inputs)
        elif node.operation == "function":
            values[node] = _function(node, inputs)
        else:
            values[node] = Value()
            for value in inputs:
                value.fix("the model returns them")
    return Spaces(values)


def _shared(graph: Graph) -> set[str]:
    """Paths of modules with parameters that are called more than once, or whose parameters others use too."""
    calls = [node for node in graph.nodes if node.module is not None and _has_channels(node.module)]
    paths = [node.path for node in calls]
    found = {path for path in paths if paths.count(path) > 1}
    found |= {node.path.rpartition(".")[0] for node in graph.nodes if node.operation == "attribute"}
    owners: dict[int, set[str]] = {}
    for node in calls:
        assert node.module is not None
        for parameter in node.module.parameters():
            owners.setdefault(id(parameter), set()).add(node.path)
    return found.union(*(each for each in owners.values() if len(each) > 1))


def _has_channels(module: nn.Module) -> bool:
    """Whether a module has parameters to cut: one slope for all channels is none."""
    one_slope = isinstance(module, nn.PReLU) and module.num_parameters == 1
    return not one_slope and any(True for _ in (*module.parameters(), *module.buffers()))


def _unknown(node: Node, inputs: list[Value]) -> Value:
    for value in inputs:
        value.fix(f"{node} mixes channels, or does not say how it uses them")
    return Value()


def _module(node: Node, inputs: list[Value]) -> Value:
    module = node.module
    assert module is not None
    if len(inputs) != 1 or parametrize.is_parametrized(module):
        return _unknown(node, inputs)
    (value,) = inputs
    if isinstance(module, (nn.Linear, _ConvNd)):
        plain = "weight" in module._parameters  # and not computed by a hook, as by weight_norm of old
        return _layer(node, module, value) if plain else _unknown(node, inputs)
    if isinstance(module, _NormBase) or (isinstance(module, nn.PReLU) and module.num_parameters > 1):
        count = module.num_features if isinstance(module, _NormBase) else module.num_parameters
        if value.space is None or value.space.root().size != count or value.flat:
            return _unknown(node, inputs)
        value.space.root().followers.append(node)
        return value
    if isinstance(module, nn.Flatten):
        return _flattened(node, value, module.start_dim == 1 and module.end_dim == -1)
    if is_elementwise(module) or (is_pool(module) and value.positions and not value.flat):
        return value
    return _unknown(node, inputs)


def _layer(node: Node, module: nn.Linear | _ConvNd, value: Value) -> Value:
    if isinstance(module, nn.Linear):
        linear, inputs, outputs, positions = True, module.in_features, module.out_features, 0
    else:
        linear, inputs, outputs, positions = False, module.in_channels, module.out_channels, len(module.kernel_size)
        if module.groups > 1:
            value.fix(f"{node} has groups")
            return Value()
    if value.space is not None:
        space, size = value.space.root(), value.space.root().size
        by_channel = size > 0 and inputs % size == 0 and (value.flat if inputs != size else True)
        in_place = not value.positions or value.flat if linear else not value.flat
        if by_channel and in_place:
            space.consumers.append(node)
        else:
            value.fix(f"{node} takes them in an order that is not known")
    return Value(Space(outputs, producers=[node]), positions)


def _flattened(node: Node, value: Value, all_positions: bool) -> Value:
    if not all_positions or (value.space is not None and not value.positions and not value.flat):
        # of a linear layer's output nothing says whether it has more dimensions, save the size of the next layer
        return value if all_positions else _unknown(node, [value])
    return replace(value, positions=0, flat=value.flat or value.positions > 0)


def _function(node: Node, inputs: list[Value]) -> Value:
    name = node.function
    if name in READS:
        return Value()
    if name == "flatten":
        return _flattened(node, inputs[0], _dimensions(node, "start_dim") in ((1,), (1, -1)))
    if name in ("view", "reshape"):
        shape = node.arguments[1] if isinstance(node.arguments[1], tuple) else node.arguments[1:]
        into_two = len(shape) == 2 and shape[1] == -1
        return _flattened(node, inputs[0], True) if into_two else _unknown(node, inputs)
    tensors = [value for before, value in zip(node.inputs, inputs, strict=True) if before.function not in READS]
    if works_on_each(name) and len(tensors) == 2:
        return _joined(node, *tensors)
    if len(tensors) != 1 or len(tensors) != len(inputs):
        return _unknown(node, inputs)
    (value,) = tensors
    spread = value.positions > 0 and not value.flat
    if works_on_each(name) or (pools(name) and spread):
        return value
    if name == "mean" and spread and reduces_positions(_dimensions(node, "dim"), value.positions):
        keeps = node.options.get("keepdim", node.arguments[2] if len(node.arguments) > 2 else False)
        return value if keeps else replace(value, positions=0)
    return _unknown(node, inputs)


def _joined(node: Node, one: Value, two: Value) -> Value:
    alike = one.space is not None and two.space is not None and one.space.root().size == two.space.root().size
    if not alike or (one.positions, one.flat) != (two.positions, two.flat):
        return _unknown(node, [one, two])
    assert one.space is not None
    assert two.space is not None
    one.space.join(two.space)
    return one


def _dimensions(node: Node, option: str) -> tuple[Any, ...]:
    given = node.options.get(option, node.arguments[1:])
    flat = given if isinstance(given, tuple) else (given,)
    return flat[0] if len(flat) >= 1 and isinstance(flat[0], tuple) else flat
