"""Where a training broke: the first weight, or layer, whose numbers are not finite."""

from typing import Any

import torch
from torch import Tensor, nn


def all_finite(module: nn.Module) -> bool:
    """Whether no parameter has NaN or Inf."""
    return all(bool(torch.isfinite(parameter).all()) for parameter in module.parameters())


def first_fault(module: nn.Module, inputs: Tensor) -> tuple[str, str] | None:
    """The first place with NaN or Inf, in the order of the model.

    Args:
        module: the bare module; its buffers (running statistics) and the random state may change: call this last.
        inputs: those whose loss is not finite.

    Returns:
        `("weight", name)` where a parameter is not finite, else `("output", layer)` of the first layer that computes
        such an output from finite weights, else `("input", "data")`, or None where only the loss overflows.
    """
    for name, parameter in module.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            return "weight", name.replace("parametrizations.", "").removesuffix(".original")
    given = inputs.values() if inputs.layout is torch.sparse_csr else inputs
    if not bool(torch.isfinite(given).all()):
        return "input", "data"
    return _first_output(module, inputs)


def _first_output(module: nn.Module, inputs: Tensor) -> tuple[str, str] | None:
    found: list[str] = []

    def watch(name: str) -> Any:
        def look(layer: nn.Module, given: Any, output: Any) -> None:
            if not found and isinstance(output, Tensor) and not bool(torch.isfinite(output).all()):
                found.append(name)

        return look

    leaves = [(name, layer) for name, layer in module.named_modules() if not any(layer.children())]
    handles = [layer.register_forward_hook(watch(name)) for name, layer in leaves]
    try:
        with torch.no_grad():
            module(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return ("output", found[0]) if found else None
