"""The bookkeeping of `following`: whose output a value is, until an activation or another layer takes it."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

from weightsmith.init.gains import ACTIVATIONS

_BY_CLASS = {
    "ReLU": "relu",
    "ReLU6": "relu6",
    "LeakyReLU": "leaky_relu",
    "PReLU": "prelu",
    "RReLU": "rrelu",
    "GELU": "gelu",
    "SiLU": "silu",
    "Mish": "mish",
    "Hardswish": "hardswish",
    "ELU": "elu",
    "CELU": "celu",
    "SELU": "selu",
    "Softplus": "softplus",
    "LogSigmoid": "logsigmoid",
    "Tanhshrink": "tanhshrink",
    "Softshrink": "softshrink",
    "Hardshrink": "hardshrink",
    "Tanh": "tanh",
    "Hardtanh": "hardtanh",
    "Softsign": "softsign",
    "Sigmoid": "sigmoid",
    "Hardsigmoid": "hardsigmoid",
    "GLU": "glu",
    "Softmax": "softmax",
    "Softmax2d": "softmax",
    "LogSoftmax": "log_softmax",
    "BinaryActivation": "sign",
    # transformers' own classes
    "NewGELUActivation": "gelu",
    "GELUActivation": "gelu",
    "FastGELUActivation": "gelu",
    "QuickGELUActivation": "gelu",
    "SiLUActivation": "silu",
}

_FUNCTIONS = frozenset(ACTIVATIONS) - {"linear"} | {"glu", "softmax", "log_softmax"}

_PARAMETERS = ("negative_slope", "alpha", "beta", "lambd")

_ARITHMETIC = {
    "add",
    "radd",
    "iadd",
    "sub",
    "rsub",
    "isub",
    "rmul",
    "div",
    "truediv",
    "neg",
    "cat",
    "concat",
    "stack",
    "mean",
    "sum",
}
_RESHAPING = {
    "getitem",
    "getattr",
    "chunk",
    "split",
    "unbind",
    "narrow",
    "select",
    "flatten",
    "unflatten",
    "view",
    "reshape",
    "permute",
    "transpose",
    "t",
    "swapaxes",
    "movedim",
    "squeeze",
    "unsqueeze",
    "expand",
    "repeat",
    "roll",
    "pad",
    "flip",
    "pixel_shuffle",
    "pixel_unshuffle",
    "channel_shuffle",
    "interpolate",
}
_COPYING = {"clone", "contiguous", "to", "float", "half", "bfloat16", "double", "type_as", "detach"}
_REGULARIZING = {
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "alpha_dropout",
    "feature_alpha_dropout",
    "batch_norm",
    "layer_norm",
    "group_norm",
    "instance_norm",
    "rms_norm",
    "local_response_norm",
    "normalize",
}
_POOLING = {f"{kind}_pool{n}d" for kind in ("max", "avg", "adaptive_max", "adaptive_avg", "lp") for n in (1, 2, 3)}
_TRANSPARENT_FUNCTIONS = frozenset(_ARITHMETIC | _RESHAPING | _COPYING | _REGULARIZING | _POOLING)

_ABOUT_SHAPE = frozenset({"size", "dim", "ndim", "numel", "len", "get"})
"""Calls that ask a tensor what it is and pass no values on; `get` reads an attribute such as `shape`."""

_TRANSPARENT_MODULES = (
    nn.Identity,
    nn.Flatten,
    nn.Unflatten,
    nn.Upsample,
    nn.PixelShuffle,
    nn.PixelUnshuffle,
    nn.ChannelShuffle,
    nn.ZeroPad2d,
    nn.modules.dropout._DropoutNd,
    nn.modules.pooling._MaxPoolNd,
    nn.modules.pooling._AvgPoolNd,
    nn.modules.pooling._AdaptiveAvgPoolNd,
    nn.modules.pooling._AdaptiveMaxPoolNd,
    nn.modules.batchnorm._NormBase,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
    nn.LocalResponseNorm,
)


@dataclass(frozen=True)
class Following:
    """The activation after a layer: its name, and its slope, alpha or beta where it differs from torch's default."""

    name: str
    parameter: float | None = None


@dataclass
class Propagation:
    """Follows values through a computation, in the order in which they are computed.

    Attributes:
        found: layer to the activation that takes its output first.
        ended: layers whose output something took that is neither an activation nor transparent.
        pending: value to the layers whose output, not activated yet, it carries.
    """

    found: dict[str, Following] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    pending: dict[Hashable, frozenset[str]] = field(default_factory=dict)
    _activated: dict[Hashable, tuple[str, frozenset[str], tuple[Hashable, ...]]] = field(default_factory=dict)

    def layer(self, paths: Iterable[str], inputs: Iterable[Hashable], output: Hashable) -> None:
        """A layer computed `output`: from here on its own paths are pending, those of its inputs ended."""
        self.ended |= self._carried(inputs)
        self._set(output, frozenset(paths))

    def activation(self, following: Following, inputs: Sequence[Hashable], output: Hashable) -> None:
        """An activation took the inputs."""
        carried = self._carried(inputs)
        for path in carried:
            self.found.setdefault(path, following)
        self._set(output, frozenset())
        self._activated[output] = (following.name, carried, tuple(inputs))

    def rename(self, following: Following, inputs: Iterable[Hashable], output: Hashable) -> None:
        """What has just been seen as several functions is this one activation."""
        self.found.update(dict.fromkeys(self._carried(inputs), following))
        self._set(output, frozenset())

    def transparent(self, inputs: Sequence[Hashable], output: Hashable) -> None:
        """Something that leaves a layer's output what it was: dropout, normalization, pooling, a sum, a view."""
        self._set(output, self._carried(inputs))

    def product(self, inputs: Sequence[Hashable], output: Hashable) -> None:
        """A product; `x * sigmoid(x)` is SiLU written by hand."""
        for value in inputs:
            name, paths, taken = self._activated.get(value, ("", frozenset(), ()))
            if name == "sigmoid" and set(taken) & set(inputs):
                self.found.update(dict.fromkeys(paths, Following("silu")))
                self._set(output, self._carried(inputs) - paths)
                return
        self.transparent(inputs, output)

    def other(self, inputs: Iterable[Hashable], output: Hashable) -> None:
        """Anything else takes the inputs as they are: no activation follows them on this way."""
        self.ended |= self._carried(inputs)
        self._set(output, frozenset())

    def function(self, name: str, following: Following | None, inputs: Sequence[Hashable], output: Hashable) -> None:
        """A function or method of torch by its name."""
        if following is not None:
            self.activation(following, inputs, output)
        elif name in _ABOUT_SHAPE:
            return
        elif name in ("mul", "imul"):
            self.product(inputs, output)
        elif name in _TRANSPARENT_FUNCTIONS:
            self.transparent(inputs, output)
        else:
            self.other(inputs, output)

    def module(self, module: nn.Module, inputs: Sequence[Hashable], output: Hashable) -> None:
        """A module that is no layer."""
        following = activation_of(module)
        if following is not None:
            self.activation(following, inputs, output)
        elif isinstance(module, _TRANSPARENT_MODULES):
            self.transparent(inputs, output)
        else:
            self.other(inputs, output)

    def result(self, layers: Iterable[str]) -> dict[str, Following]:
        """What is known of the layers: their activation, `linear` where their output was taken by something else."""
        linear = dict.fromkeys(self.ended, Following("linear"))
        known = {**linear, **self.found}
        return {path: known[path] for path in layers if path in known}

    def _carried(self, values: Iterable[Hashable]) -> frozenset[str]:
        return frozenset().union(*(self.pending.get(value, frozenset()) for value in values))

    def _set(self, value: Hashable, paths: frozenset[str]) -> None:
        self.pending[value] = paths
        self._activated.pop(value, None)


def activation_of(module: nn.Module) -> Following | None:
    """The activation a module is, by the name of its class or of an ancestor; None where it holds a matrix."""
    name = next((_BY_CLASS[kind.__name__] for kind in type(module).__mro__ if kind.__name__ in _BY_CLASS), None)
    if name is None or any(parameter.dim() > 1 for parameter in module.parameters()):
        return None
    if isinstance(module, nn.PReLU):
        # not `module.weight`, which is a stand-in while the model is traced
        weight = next(module.parameters())
        return Following(name, None if weight.is_meta or weight.numel() == 0 else float(weight.detach().mean()))
    if isinstance(module, nn.RReLU):
        return Following(name, (module.lower + module.upper) / 2)
    given = (getattr(module, attribute, None) for attribute in _PARAMETERS)
    return Following(name, next((float(value) for value in given if isinstance(value, (int, float))), None))


def activation_called(name: str, args: Sequence[object], kwargs: Mapping[str, object]) -> Following | None:
    """The activation that a call of a function or method by this name is."""
    if name not in _FUNCTIONS:
        return None
    if ACTIVATIONS.get(name, ACTIVATIONS["linear"]).parameter is None or name in ("prelu", "rrelu"):
        return Following(name)
    given = [kwargs[key] for key in _PARAMETERS if key in kwargs] + list(args[1:2])
    parameter = next((float(value) for value in given if isinstance(value, (int, float))), None)
    return Following(name, parameter)


def plain_name(function: object) -> str:
    """`relu` for `relu_`, `F.relu`, `torch.relu` and `Tensor.relu`; operators by their name without underscores."""
    name = getattr(function, "__name__", "") if not isinstance(function, str) else function
    plain = name.strip("_").removeprefix("special_")
    return "logsigmoid" if plain == "log_sigmoid" else plain


def tensors_in(value: object) -> list[Tensor]:
    """Tensors in a nest of tuples, lists and dictionaries."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        return [tensor for part in value for tensor in tensors_in(part)]
    return []
