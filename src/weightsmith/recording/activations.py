"""Dead and saturated units: what the activations of a model see, during the measured steps alone.

A unit is dead when its activation gave nothing on any input of the recent measured batches, and saturated when it sat
at its bounds on nearly all of them. The input of an activation is read where an activation module is called; where the
activation is a function inside `forward`, it is the output of the layer before it, or of the norm between them.
"""

import math
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.utils.hooks import RemovableHandle

from weightsmith.recording.device import capturing

RECENT = 10
"""Measured batches that a share of dead or saturated units is taken over."""

SATURATED_INPUTS = 0.95
"""Share of the inputs on which a saturated unit is at its bounds."""

_DEAD = {"relu", "relu6"}
# |tanh(z)| > 0.99, and sigmoid(z) outside (0.01, 0.99), as limits of |z|.
_LIMITS = {"tanh": math.atanh(0.99), "sigmoid": math.log(99.0)}
_MODULES: dict[type[nn.Module], str] = {nn.ReLU: "relu", nn.ReLU6: "relu6", nn.Tanh: "tanh", nn.Sigmoid: "sigmoid"}
_NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)

Series = tuple[str, str, Tensor]
"""Series name, weight name, and its value as a tensor with one element on the model's device."""


class Activations:
    """Watches the activations of one model while armed.

    Args:
        model: the model, without wrappers.
        following: the activation that follows each layer, by the layer's path.
        prefix: what the names of the model's weights start with in the run.
        guard: entered around all work in a hook: charges its time and keeps its errors from the training.
    """

    def __init__(
        self,
        model: nn.Module,
        following: Mapping[str, str],
        prefix: str,
        guard: Callable[[], AbstractContextManager[Any]],
    ) -> None:
        watched = _DEAD | _LIMITS.keys()
        self._model = model
        self._prefix = prefix
        self._guard = guard
        self._following = {path: kind for path, kind in following.items() if kind in watched}
        self._layers = {path: model.get_submodule(path) for path in self._following}
        self._seen: dict[str, deque[Tensor]] = {path: deque(maxlen=RECENT) for path in self._following}
        self._handles: list[RemovableHandle] = []
        self._halted = False
        self._thread = threading.local()  # replicas of DataParallel run in threads of their own

    def __bool__(self) -> bool:
        return bool(self._following)

    def arm(self) -> None:
        """Place the hooks."""
        if self._handles:
            return
        for path, layer in self._layers.items():
            self._handles.append(layer.register_forward_hook(_Hook(partial(self._after_layer, path))))
        for module in self._model.modules():
            kind = _MODULES.get(type(module))
            if kind is not None:
                hook = _Hook(partial(self._before_activation, kind))
                self._handles.append(module.register_forward_pre_hook(hook))
            elif isinstance(module, _NORMS):
                self._handles.append(module.register_forward_hook(_Hook(self._after_norm)))
        self._handles.append(self._model.register_forward_hook(_Hook(self._after_model)))

    def disarm(self) -> None:
        """Take the hooks away."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self._thread = threading.local()

    def halt(self) -> None:
        """Watch nothing any more; the hooks stay until they are taken away."""
        self._halted = True

    def series(self) -> Iterator[Series]:
        """The shares over the recent measured batches, of the layers for which there are enough of them."""
        for path, seen in self._seen.items():
            if len(seen) == RECENT and len({entry.shape for entry in seen}) == 1:
                stacked = torch.stack(list(seen))
                if self._following[path] in _DEAD:
                    yield "dead_units", self._weight(path), 1.0 - stacked.any(0).double().mean()
                else:
                    often = stacked.mean(0) > SATURATED_INPUTS
                    yield "saturated_units", self._weight(path), often.double().mean()

    def _weight(self, path: str) -> str:
        return f"{self._prefix}{path}.weight" if path else f"{self._prefix}weight"

    @property
    def _pending(self) -> tuple[str, Tensor] | None:
        """The layer that ran last and what its activation will see, until an activation module says so itself."""
        return getattr(self._thread, "pending", None)

    def _idle(self) -> bool:
        return self._halted or not self._model.training or capturing()

    def _after_layer(self, path: str, _module: nn.Module, _inputs: object, output: object) -> None:
        if self._idle() or not isinstance(output, Tensor):
            return
        with self._guard():
            self._resolve()
            self._thread.pending = (path, output.detach())

    def _after_norm(self, _module: nn.Module, _inputs: object, output: object) -> None:
        pending = None if self._idle() else self._pending
        if pending is not None and isinstance(output, Tensor) and output.shape == pending[1].shape:
            self._thread.pending = (pending[0], output.detach())

    def _before_activation(self, kind: str, _module: nn.Module, inputs: tuple[object, ...]) -> None:
        pending = self._pending
        if self._idle() or pending is None or not inputs or not isinstance(inputs[0], Tensor):
            return
        with self._guard():
            if self._following[pending[0]] == kind:
                self._thread.pending = (pending[0], inputs[0].detach())
            self._resolve()

    def _after_model(self, _module: nn.Module, _inputs: object, _output: object) -> None:
        if self._pending is not None and not self._idle():
            with self._guard():
                self._resolve()

    def _resolve(self) -> None:
        pending = self._pending
        self._thread.pending = None
        if pending is None:
            return
        path, values = pending
        axis = _unit_axis(self._layers[path], values)
        if axis is not None:
            self._seen[path].append(_summary(self._following[path], values, axis))


class _Hook:
    """A hook that stays behind: copies of the model and pickles of it get one that does nothing."""

    def __init__(self, function: Callable[..., None]) -> None:
        self._function = function

    def __call__(self, *arguments: object) -> None:
        self._function(*arguments)

    def __reduce__(self) -> tuple[type[Self], tuple[Callable[..., None]]]:
        return type(self), (_nothing,)


def _nothing(*_arguments: object) -> None:
    pass


def _summary(kind: str, values: Tensor, axis: int) -> Tensor:
    """Per unit: whether it was active on any of the inputs (bool), or the share of them on which it saturated."""
    others = [dimension for dimension in range(values.ndim) if dimension != axis]
    if kind in _DEAD:
        return values.amax(others) > 0
    return (values.abs() > _LIMITS[kind]).double().mean(others)


def _unit_axis(layer: nn.Module, values: Tensor) -> int | None:
    """The axis of an activation's input that counts the layer's units; None where it cannot be told."""
    channels = getattr(layer, "out_channels", None)
    units = channels if channels is not None else getattr(layer, "out_features", None)
    axis = 1 if channels is not None else values.ndim - 1
    if values.ndim < 2 or values.numel() == 0 or values.shape[axis] != units:
        return None
    return axis
