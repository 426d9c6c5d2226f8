"""How long layers take on this machine."""

import copy
import time
from collections.abc import Callable, Collection, Mapping
from statistics import median

import torch
from torch import Tensor, nn

from weightsmith.errors import InputError

_ROUNDS = 7
_LONGEST = 0.3
"""Seconds for each layer's rounds, after which fewer have to do."""


def observe(model: nn.Module, sample: object, owners: Collection[int]) -> dict[int, Tensor]:
    """What each of these modules is given when the model runs a sample, by `id`; of several calls the first.

    Raises:
        InputError: the model cannot take the sample.
    """
    seen: dict[int, Tensor] = {}

    def note(module: nn.Module, args: tuple[object, ...]) -> None:
        if id(module) not in seen and args and isinstance(args[0], Tensor):
            seen[id(module)] = args[0].detach().clone()

    handles = [module.register_forward_pre_hook(note) for module in model.modules() if id(module) in owners]
    try:
        run(model, sample)
    except (TypeError, ValueError, RuntimeError, LookupError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"the model cannot take the sample: {reason}") from error
    finally:
        for handle in handles:
            handle.remove()
    return seen


def run(model: nn.Module, sample: object) -> object:
    """One forward pass over a batch: a tensor, a tuple of arguments, or a dictionary of keyword arguments."""
    with torch.no_grad():
        if isinstance(sample, dict):
            return model(**sample)
        if isinstance(sample, (tuple, list)):
            return model(*sample)
        return model(sample)


def measure(dense: nn.Module, packed: Mapping[str, nn.Module], inputs: Tensor) -> dict[str, float]:
    """Seconds for one call of each layer on the same inputs.

    Args:
        dense: the layer as it is, measured as `dense float32` and `dense bfloat16`.
        packed: what could stand for it, by name.
        inputs: a batch.
    """
    short = copy.deepcopy(dense).bfloat16()
    calls: dict[str, Callable[[], object]] = {
        "dense float32": lambda: dense(inputs),
        "dense bfloat16": lambda: short(halves),
    }
    halves = inputs.bfloat16()
    for name, layer in packed.items():
        calls[name] = lambda layer=layer: layer(inputs)  # type: ignore[misc]
    return in_turns(calls)


def in_turns(calls: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Seconds for one call of each: the median of rounds in which all take turns."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    with torch.no_grad():
        for call in calls.values():  # compiles the kernels
            call()
        started = time.perf_counter()
        rounds = 0
        while rounds < 3 or (rounds < _ROUNDS and time.perf_counter() - started < _LONGEST):
            rounds += 1
            for name, call in calls.items():
                times[name].append(_once(call))
    return {name: median(taken) for name, taken in times.items()}


def _once(call: Callable[[], object]) -> float:
    """Seconds for one call, averaged over as many as a clock can tell apart."""
    call()  # what ran before has the caches
    start = time.perf_counter()
    call()
    first = time.perf_counter() - start
    count = min(100, int(1e-3 / max(first, 1e-7)))
    if count < 2:
        return first
    start = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - start) / count
