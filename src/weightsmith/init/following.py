"""Which activation follows each layer: by tracing the model, by running a sample, or by the order in Sequential."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from weightsmith.init.propagation import (
    Following,
    Propagation,
    activation_called,
    activation_of,
    plain_name,
    tensors_in,
)
from weightsmith.seeding import kept_random_state
from weightsmith.sources.module import unwrap

_FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NameError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What a forward method may raise when it is fed stand-ins for tensors, or a sample that does not fit."""

_NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
_TRANSFORMER_LAYERS = (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)
_WHOLE = (nn.MultiheadAttention, nn.RNNBase, nn.RNNCellBase, *_TRANSFORMER_LAYERS)
"""Modules that are one step to us, whatever modules they have inside."""


def following_activations(model: nn.Module, sample: Any = None) -> dict[str, str]:
    """Name of the activation that follows each layer (`relu`, `tanh`, ...), `linear` where none does.

    Dropout, normalization, pooling, reshaping and residual sums in between do not count. Traced symbolically where
    that works, else by running `sample` once without gradients or side effects on the model's buffers, else by the
    order inside `nn.Sequential`. Never fails; layers of which nothing is known are absent.

    Args:
        model: any module, wrapped or not.
        sample: one batch: a tensor, a tuple of arguments, or a dictionary of keyword arguments, on any device.

    Returns:
        Module path to activation name, for modules that own a matrix.
    """
    return {path: following.name for path, following in follow(model, sample).items()}


def follow(model: nn.Module, sample: Any = None) -> dict[str, Following]:
    """As `following_activations`, with each activation's parameter (slope, alpha, beta)."""
    model = unwrap(model)
    result = _traced(model, whole=True)
    if result is None and sample is not None:
        result = _observed(model, sample)
    if result is None:
        result = _structural(model)
    for path, layer in model.named_modules():
        if isinstance(layer, _TRANSFORMER_LAYERS):
            result.update(_inside_transformer(path, layer))
    return result


def _is_layer(module: nn.Module) -> bool:
    """Whether a module itself multiplies by a matrix, parametrized or not."""
    if isinstance(module, (*_NORMS, nn.PReLU, *_TRANSFORMER_LAYERS)):
        return False
    own = list(module.parameters(recurse=False))
    own += [original for chain in _chains(module) for original in chain.parameters(recurse=False)]
    return isinstance(module, _WHOLE) or any(parameter.dim() > 1 for parameter in own)


def _chains(module: nn.Module) -> list[nn.Module]:
    chains = getattr(module, "parametrizations", None)
    return list(chains.values()) if isinstance(chains, nn.ModuleDict) else []


def _layer_paths(path: str, module: nn.Module) -> list[str]:
    return [path, _below(path, "out_proj")] if isinstance(module, nn.MultiheadAttention) else [path]


def _below(path: str, child: str) -> str:
    return f"{path}.{child}" if path else child


class _Tracer(fx.Tracer):
    """Steps into every module but known layers, activations and torch's own leaves."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if isinstance(m, _WHOLE) or activation_of(m) is not None or (_is_layer(m) and _chains(m)):
            return True
        return super().is_leaf_module(m, module_qualified_name)


def _traced(model: nn.Module, whole: bool, prefix: str = "") -> dict[str, Following] | None:
    """What a symbolic trace finds; None where the model cannot be traced.

    Where the graph is the whole model, what reaches its output without an activation is linear.
    """
    if isinstance(model, _WHOLE):
        return None
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            graph = _Tracer().trace(model)
    except _FAILURES:
        return None
    modules = dict(model.named_modules(remove_duplicate=False))
    propagation = Propagation()
    for node in graph.nodes:
        _walk(node, modules, prefix, propagation)
    if whole:
        propagation.ended |= frozenset().union(*propagation.pending.values())
    layers = [_below(prefix, path) if path else prefix for path in _all_layers(modules)]
    return propagation.result(layers)


def _all_layers(modules: Mapping[str, nn.Module]) -> list[str]:
    return [name for path, module in modules.items() if _is_layer(module) for name in _layer_paths(path, module)]


def _walk(node: fx.Node, modules: Mapping[str, nn.Module], prefix: str, propagation: Propagation) -> None:
    inputs = node.all_input_nodes
    if node.op == "call_module":
        path, module = str(node.target), modules[str(node.target)]
        if _is_layer(module):
            propagation.layer(_layer_paths(_below(prefix, path), module), inputs, node)
        else:
            propagation.module(module, inputs, node)
    elif node.op in ("call_function", "call_method"):
        name = plain_name(node.target)
        owners = {str(value.target).rpartition(".")[0] for value in inputs if value.op == "get_attr"}
        owners = {path for path in owners if path in modules and _is_layer(modules[path])}
        following = activation_called(name, node.args, node.kwargs)
        if owners and following is None and name not in ("add", "sub", "getattr"):
            propagation.layer([_below(prefix, path) if path else prefix for path in owners], inputs, node)
        else:
            propagation.function(name, following, inputs, node)


class _Observer(TorchFunctionMode):
    """Sees every call of a torch function while the sample runs."""

    def __init__(self, propagation: Propagation) -> None:
        super().__init__()
        self.propagation = propagation
        self.alive: list[Tensor] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        inputs = self.keys((args, kwargs))
        name = plain_name(func)
        for output in self.keys(result):
            self.propagation.function(name, activation_called(name, args, kwargs), inputs, output)
        return result

    def keys(self, value: object) -> list[int]:
        """Identities of the tensors in a value, which are kept alive so that no identity is used twice."""
        tensors = tensors_in(value)
        self.alive += tensors
        return [id(tensor) for tensor in tensors]


def _observed(model: nn.Module, sample: Any) -> dict[str, Following] | None:
    """What one run of the sample shows; None where it fails."""
    propagation = Propagation()
    observer = _Observer(propagation)
    modules = dict(model.named_modules(remove_duplicate=False))
    handles: list[RemovableHandle] = []
    for path, module in modules.items():
        # functions show torch's own activations; what they do not show is a learned slope and the name of a class
        own = activation_of(module) is not None and not type(module).__module__.startswith("torch.")
        if _is_layer(module) or own or isinstance(module, nn.PReLU):
            handles.append(module.register_forward_hook(partial(_on_output, path, observer)))
    try:
        given = _beside(model, sample)
        with _undisturbed(model), observer:
            _call(model, given)
    except _FAILURES:
        return None
    finally:
        for handle in handles:
            handle.remove()
    propagation.ended |= frozenset().union(*propagation.pending.values())
    return propagation.result(_all_layers(modules))


def _on_output(path: str, observer: _Observer, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
    inputs = observer.keys(args)
    following = activation_of(module)
    for key in observer.keys(output):
        if following is None:
            observer.propagation.layer(_layer_paths(path, module), inputs, key)
        else:
            observer.propagation.rename(following, inputs, key)


def _beside(model: nn.Module, sample: Any) -> Any:
    """A sample on the device of the model's first parameter: batches come from the CPU, models lie on a GPU."""
    place = next((parameter.device for parameter in model.parameters()), None)

    def moved(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value.to(place)
        if isinstance(value, dict):
            return {key: moved(each) for key, each in value.items()}
        return type(value)(map(moved, value)) if type(value) in (tuple, list) else value

    return moved(sample)


def _call(model: nn.Module, sample: Any) -> None:
    if isinstance(sample, dict):
        model(**sample)
    elif isinstance(sample, (tuple, list)):
        model(*sample)
    else:
        model(sample)


@contextmanager
def _undisturbed(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, no gradients, the random state kept: the run leaves no trace."""
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    try:
        with torch.no_grad(), kept_random_state(model), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for module in training:
            module.training = True


def _structural(model: nn.Module, prefix: str = "") -> dict[str, Following]:
    """What the parts of an untraceable model show: traceable parts by their trace, Sequential ones by their order."""
    result: dict[str, Following] = {}
    if isinstance(model, nn.Sequential):
        result.update(_in_order(model, prefix))
    for name, child in model.named_children():
        path = _below(prefix, name)
        if isinstance(child, _WHOLE):
            continue
        found = _traced(child, whole=False, prefix=path)
        for layer, following in (_structural(child, path) if found is None else found).items():
            result.setdefault(layer, following)
    return result


def _in_order(container: nn.Sequential, prefix: str) -> dict[str, Following]:
    propagation = Propagation()
    layers: list[str] = []
    for value, (path, module) in enumerate(_flattened(container, prefix)):
        if _is_layer(module) and (isinstance(module, _WHOLE) or not list(module.children()) or _chains(module)):
            layers += _layer_paths(path, module)
            propagation.layer(_layer_paths(path, module), [value], value + 1)
        else:
            propagation.module(module, [value], value + 1)
    return propagation.result(layers)


def _flattened(container: nn.Sequential, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    for name, child in container.named_children():
        path = _below(prefix, name)
        if isinstance(child, nn.Sequential):
            yield from _flattened(child, path)
        else:
            yield path, child


def _inside_transformer(path: str, layer: nn.Module) -> dict[str, Following]:
    """Torch's transformer layers hold their activation in an attribute and cannot be traced."""
    given = layer.activation
    following = activation_of(given) if isinstance(given, nn.Module) else activation_called(plain_name(given), (), {})
    result = {_below(path, "linear2"): Following("linear")}
    if following is not None:
        result[_below(path, "linear1")] = following
    for name, child in layer.named_children():
        if isinstance(child, nn.MultiheadAttention):
            result.update(dict.fromkeys(_layer_paths(_below(path, name), child), Following("linear")))
    return result
