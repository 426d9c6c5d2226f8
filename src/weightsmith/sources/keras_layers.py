"""What Keras means by the variables of its layers: names, roles, axes and gates, from a model's configuration.

Keras keeps kernels as (inputs, outputs) and convolutions as (height, width, inputs, filters), the reverse of PyTorch;
its files number a layer's variables in the order in which the layer creates them.
Reference: the layers' `build` and `save_own_variables` methods in Keras 2 and 3 (Chollet et al., https://keras.io).
"""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from weightsmith.sources.roles import infer_role
from weightsmith.weight import Role, WeightInfo

_KERNEL: Final = ("kernel", "bias", "kernel_scale")
_CELL: Final = ("kernel", "recurrent_kernel", "bias")
_SEPARABLE: Final = ("depthwise_kernel", "pointwise_kernel", "bias")
_DIMENSIONS: Final = ("1D", "2D", "3D")

VARIABLES: Final[dict[str, tuple[str, ...]]] = {
    "Dense": _KERNEL,
    "EinsumDense": _KERNEL,
    "Embedding": ("embeddings", "embeddings_scale"),
    "PReLU": ("alpha",),
    "RMSNormalization": ("scale",),
    "LayerNormalization": ("gamma", "beta"),
    "GroupNormalization": ("gamma", "beta"),
    "BatchNormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "SyncBatchNormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "Normalization": ("mean", "variance", "count"),
    **{name: _CELL for cell in ("LSTM", "GRU", "SimpleRNN", "ConvLSTM") for name in (cell, f"{cell}Cell")},
    **{f"{stem}{d}": _KERNEL for stem in ("Conv", "DepthwiseConv") for d in _DIMENSIONS},
    **{f"Conv{d}Transpose": _KERNEL for d in _DIMENSIONS},
    **{f"SeparableConv{d}": _SEPARABLE for d in _DIMENSIONS},
}
"""The variables of a layer in the order of their numbers; trailing ones may be absent."""

_SWITCHES: Final = {"gamma": "scale", "beta": "center", "bias": "use_bias"}
"""Options of a layer's configuration that leave a variable out."""

_GATES: Final = {"LSTM": ("i", "f", "c", "o"), "GRU": ("z", "r", "h")}
_ATTENTION: Final = {
    "query_dense": "query",
    "key_dense": "key",
    "value_dense": "value",
    "output_dense": "attention_output",
}
_PASSING: Final = frozenset({"BatchNormalization", "Dropout", "SpatialDropout2D", "LayerNormalization", "Reshape"})
_ACTIVATIONS: Final = {
    "ReLU": "relu",
    "LeakyReLU": "leaky_relu",
    "PReLU": "prelu",
    "ELU": "elu",
    "Softmax": "softmax",
    "ThresholdedReLU": "relu",
}
_DEPTH: Final = 32


@dataclass(frozen=True)
class Layer:
    """One layer of a configuration.

    Attributes:
        name: as the user sees it.
        kind: its class (`Dense`).
        config: its own options.
        children: layers inside it, by the name of their group in a `.weights.h5` file.
        activation: what follows it, `linear` where nothing does, or None where that is not known.
    """

    name: str
    kind: str
    config: Mapping[str, Any] = field(default_factory=dict)
    children: Mapping[str, "Layer"] = field(default_factory=dict)
    activation: str | None = None

    def below(self) -> Iterator["Layer"]:
        """This layer and all inside it."""
        yield self
        for child in self.children.values():
            yield from child.below()


def read_layers(config: Any, depth: int = _DEPTH) -> Layer | None:
    """The layer or model of a configuration as Keras serializes it; None where it is none.

    Anything odd in it is passed over: it only adds to what the weights' own file tells.
    """
    if not isinstance(config, dict) or not isinstance(config.get("class_name"), str) or not depth:
        return None
    kind = config["class_name"].rpartition(">")[2]
    own = config.get("config")
    own = {"layers": own} if isinstance(own, list) else own if isinstance(own, dict) else {}
    name = own.get("name", config.get("name"))
    children: dict[str, Layer] = {}
    for key in ("layer", "backward_layer", "cell"):
        child = read_layers(own.get(key), depth - 1)
        if child is not None:
            children["forward_layer" if kind == "Bidirectional" and key == "layer" else key] = child
    for key in ("layers", "cells"):
        if isinstance(own.get(key), list):
            children[key] = Layer("", "", children=_listed(own[key], depth - 1))
    activation = _named(own.get("activation"))
    if kind in ("LSTM", "GRU", "SimpleRNN", "ConvLSTM"):
        children["cell"] = Layer(f"{_snake(kind)}_cell", f"{kind}Cell", own, activation=activation)
    return Layer(name if isinstance(name, str) else _snake(kind), kind, own, children, activation)


def _listed(configs: Sequence[Any], depth: int) -> dict[str, Layer]:
    """Layers of a list by the names that Keras gives their groups: `dense`, `dense_1`, ..."""
    found: dict[str, Layer] = {}
    counts: dict[str, int] = {}
    follows = _followers(configs)
    layers = [read_layers(config, depth) for config in configs]
    named = {layer.name: layer for layer in layers if layer is not None}
    for layer in layers:
        if layer is None:
            continue
        stem = _snake(layer.kind)
        number = counts[stem] = counts.get(stem, -1) + 1
        after = layer.activation if layer.activation != "linear" else _after(layer.name, named, follows)
        found[f"{stem}_{number}" if number else stem] = Layer(
            layer.name, layer.kind, layer.config, layer.children, after
        )
    return found


def _followers(configs: Sequence[Any]) -> dict[str, list[str]]:
    """Which layers take each layer's output: those that name it as inbound, or the next one of a plain list."""
    dicts = [config for config in configs if isinstance(config, dict)]
    names = [_layer_name(config) for config in dicts]
    found: dict[str, list[str]] = {name: [] for name in names}
    if not any("inbound_nodes" in config for config in dicts):
        for name, following in itertools.pairwise(names):
            found[name].append(following)
        return found
    for name, config in zip(names, dicts, strict=True):
        for inbound in set(_inbound(config.get("inbound_nodes"), _DEPTH)):
            if inbound in found:
                found[inbound].append(name)
    return found


def _layer_name(config: Mapping[str, Any]) -> str:
    own = config.get("config")
    name = own.get("name") if isinstance(own, dict) else None
    return str(name if name is not None else config.get("name"))


def _inbound(nodes: Any, depth: int) -> Iterator[str]:
    """Names of layers in a description of inbound nodes: `[name, node, tensor, ...]` wherever it is nested."""
    if isinstance(nodes, dict):
        nodes = list(nodes.values())
    if not isinstance(nodes, list) or not depth:
        return
    if len(nodes) >= 3 and isinstance(nodes[0], str) and all(isinstance(number, int) for number in nodes[1:3]):
        yield nodes[0]
        return
    for node in nodes:
        yield from _inbound(node, depth - 1)


def _after(name: str, layers: Mapping[str, Layer], follows: Mapping[str, list[str]]) -> str | None:
    for _ in range(_DEPTH):
        following = follows.get(name, [])
        if not following:
            return "linear"
        layer = layers.get(following[0])
        if len(following) > 1 or layer is None:
            return None
        if layer.kind == "Activation":
            return layer.activation
        if layer.kind not in _PASSING:
            return _ACTIVATIONS.get(layer.kind, "linear")
        name = layer.name
    return None


def _named(value: Any) -> str | None:
    """The name of an activation, given as text or as a serialized function or layer."""
    if isinstance(value, dict):
        inner = value.get("config")
        value = inner if isinstance(inner, str) else value.get("registered_name") or value.get("class_name")
    return value if isinstance(value, str) else None


def _snake(kind: str) -> str:
    """A class name as Keras turns it into a name: `MultiHeadAttention` -> `multi_head_attention`."""
    name = re.sub(r"\W+", "", kind)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


_BY_SNAKE: Final = {_snake(kind): kind for kind in (*VARIABLES, "MultiHeadAttention", "Bidirectional")}


def guess_layer(name: str) -> Layer:
    """A layer of which only a name is known: its class where the name was made from one (`conv2d_3`), else none."""
    stem = re.sub(r"_\d+$", "", name)
    kind = _BY_SNAKE.get(stem, "")
    gated = re.search(r"(^|_)(lstm|gru|simple_rnn)(_|$)", stem)
    return Layer(name, kind or (_BY_SNAKE[gated[2]] if gated else ""))


def inner_layer(parent: Layer | None, key: str) -> Layer:
    """The layer of a group inside another layer's group."""
    if parent is not None and key in parent.children:
        return parent.children[key]
    if parent is not None and parent.kind == "MultiHeadAttention" and key in _ATTENTION:
        return Layer(_ATTENTION[key], "EinsumDense")
    if key == "cell" and parent is not None and f"{parent.kind}Cell" in VARIABLES:
        return Layer(f"{_snake(parent.kind)}_cell", f"{parent.kind}Cell")
    return guess_layer(key)


def variable_name(layer: Layer, number: int, count: int) -> str | None:
    """The name of a layer's numbered variable; None where that cannot be told.

    Args:
        layer: the layer that owns it.
        number: which of its variables.
        count: how many it has.
    """
    names = VARIABLES.get(layer.kind, ())
    if layer.config:
        names = tuple(name for name in names if layer.config.get(_SWITCHES.get(name, ""), True) is not False)
    elif names[2:] == ("moving_mean", "moving_variance"):
        names = {4: names, 2: names[2:]}.get(count, ())
    elif count < 2 and names[1:] == ("beta",):
        return None  # either of the two may have been left out
    return names[number] if number < len(names) and count <= len(names) else None


def keras_info(name: str, shape: tuple[int, ...], dtype: str, layer: Layer | None) -> WeightInfo:
    """The description of a Keras variable.

    Args:
        name: its path, the variable's own name last (`dense/kernel`, `dense/kernel:0`).
        shape: its dimensions.
        dtype: name of its type.
        layer: the layer that owns it, as far as it is known.
    """
    variable = re.sub(r":\d+$", "", name.rpartition("/")[2])
    kind = layer.kind if layer is not None else ""
    role = _role(name, variable, kind, shape)
    axis = _output_axis(variable, kind, role, shape)
    gates = _GATES.get(kind.removesuffix("Cell").removeprefix("Conv"), ())
    stacked = variable in _CELL and bool(gates) and bool(shape) and shape[axis] % len(gates) == 0
    activation = layer.activation if layer is not None and role not in ("norm", "other") else None
    return WeightInfo(
        name, shape, dtype, role, kind or None, activation, output_axis=axis, parts=gates if stacked else ()
    )


def _role(name: str, variable: str, kind: str, shape: tuple[int, ...]) -> Role:
    if variable in ("kernel", "recurrent_kernel") and (kind.removesuffix("Cell") in VARIABLES and "Cell" in kind):
        return "recurrent"
    if variable == "recurrent_kernel" or (variable == "kernel" and kind in ("LSTM", "GRU", "SimpleRNN")):
        return "recurrent"
    if variable in ("kernel", "depthwise_kernel", "pointwise_kernel") and len(shape) >= 2:
        dense = kind in ("Dense", "EinsumDense", "MultiHeadAttention") or len(shape) == 2
        return "linear" if dense else "conv"
    if variable in ("mean", "variance", "count", "alpha", "kernel_scale", "embeddings_scale"):
        return "other"
    known: dict[str, Role] = {"embeddings": "embedding", "bias": "bias", "beta": "bias", "gamma": "norm"}
    return known.get(variable) or infer_role(f"{name.rpartition('/')[0]}.{variable}".replace("/", "."), shape)


def _output_axis(variable: str, kind: str, role: Role, shape: tuple[int, ...]) -> int:
    last = max(0, len(shape) - 1)
    if role == "embedding" or not shape:
        return 0
    depthwise = variable == "depthwise_kernel" or (kind.startswith("Depthwise") and variable == "kernel")
    transposed = kind.endswith("Transpose") and variable == "kernel"
    return max(0, last - 1) if (depthwise or transposed) else last
