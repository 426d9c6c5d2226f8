"""Initialize a whole model: decide for every weight, say why, then draw."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from weightsmith.errors import InputError
from weightsmith.init.blocks import blocks, overlap
from weightsmith.init.choice import Choice, Slot, choose_automatically, opens_forget_gate
from weightsmith.init.decision import Decision, Decisions
from weightsmith.init.following import follow
from weightsmith.init.schemes import RULES, find_scheme, spread
from weightsmith.names import matches, suggestion
from weightsmith.seeding import generator_for
from weightsmith.sources.module import describe, unwrap

Wish = str | Mapping[str, Any]
"""A scheme's name, or `{"name": ..., option: ...}`."""


@dataclass(frozen=True)
class _Plan:
    slot: Slot
    choice: Choice
    decision: Decision


def apply(
    model: nn.Module, scheme: str | Mapping[str, Any] = "auto", *, sample: Any = None, seed: int = 0
) -> list[Decision]:
    """Initialize a model's weights in place.

    Every weight's numbers depend on `seed` and its own name alone: other layers may come, go and move. They are drawn
    on the CPU in float32 (float64 for float64 weights) and rounded once, so that neither the device nor a 16-bit dtype
    changes them. Tied weights are drawn once, under their first name.

    Args:
        model: any module; wrappers (DDP, `torch.compile`, ...) are looked through, parametrizations are inverted.
        scheme: `"auto"`, `"kept"` (everything stays as it is), a name from `SCHEMES`, `{"name": ..., option: ...}`, or
            a mapping from shell patterns over weight names to any of these. The first pattern that matches wins; what
            none matches is left as it is.
            Biases and norms follow `"auto"` (zeros and ones) unless a pattern names them outright.
        sample: one batch, run once where the activations cannot be traced: a tensor, a tuple of arguments or a
            dictionary of keyword arguments, on any device.
        seed: any integer.

    Returns:
        One decision per weight, in the model's order.

    Raises:
        InputError: an unknown scheme or option, a pattern that matches nothing, a scheme that does not fit a weight's
            shape, weights on the meta device, or a seed that is no whole number.
    """
    if not isinstance(seed, Integral):
        raise InputError(f"the seed is a whole number, not {seed!r}")
    plans = _plans(model, scheme, sample)
    for plan in plans:
        if plan.slot.tensor.is_meta:
            raise InputError(
                f"'{plan.slot.info.name}' is on the meta device and has no memory: materialize the model first, "
                "with model.to_empty(device=...)"
            )
    for plan in plans:
        if plan.choice.scheme is not None:
            _write(plan.slot, _values(plan, seed))
    return Decisions(plan.decision for plan in plans)


def explain(model: nn.Module, sample: Any = None, scheme: str | Mapping[str, Any] = "auto") -> list[Decision]:
    """The decisions `apply` would take, each with its reason; the model is not touched and may be on the meta device.

    Raises:
        InputError: as `apply`.
    """
    return Decisions(plan.decision for plan in _plans(model, scheme, sample))


def _plans(model: nn.Module, scheme: str | Mapping[str, Any], sample: Any) -> list[_Plan]:
    if not isinstance(model, nn.Module):
        raise InputError(f"only a torch.nn.Module can be initialized, not a {type(model).__name__}")
    wishes = _wishes(scheme)
    slots = list(_slots(model, sample))
    _refuse_idle_patterns(wishes, [slot.info.name for slot in slots])
    aliases: dict[str, list[str]] = {}
    for slot in slots:
        aliases.setdefault(slot.info.tied_to or slot.info.name, []).append(slot.info.name)
    return [_plan(slot, wishes, aliases.get(slot.info.name, [])) for slot in slots]


def _wishes(scheme: str | Mapping[str, Any]) -> dict[str, Wish]:
    if not isinstance(scheme, (str, Mapping)):
        raise InputError(f"a scheme is a name, {{'name': ..., option: ...}} or patterns with these, not {scheme!r}")
    if isinstance(scheme, str) or ("name" in scheme and isinstance(scheme["name"], str)):
        scheme = {"*": scheme}
    for pattern, wish in scheme.items():
        if not isinstance(pattern, str):
            raise InputError(f"a pattern over weight names is a text, not {pattern!r}")
        name, options = _named(wish, pattern)
        if name in RULES and options:
            raise InputError(f"scheme '{name}' takes no options, and '{pattern}' gives {', '.join(options)}")
        if name not in RULES:
            find_scheme(name).completed(options)
    return dict(scheme)


def _named(wish: object, pattern: str) -> tuple[str, dict[str, Any]]:
    if isinstance(wish, str):
        return wish, {}
    if isinstance(wish, Mapping) and isinstance(wish.get("name"), str):
        return wish["name"], {key: value for key, value in wish.items() if key != "name"}
    raise InputError(f"pattern '{pattern}' needs a scheme's name or {{'name': ..., option: ...}}, not {wish!r}")


def _refuse_idle_patterns(wishes: Mapping[str, Wish], names: list[str]) -> None:
    for pattern in wishes:
        if pattern != "*" and not any(matches(name, pattern) for name in names):
            raise InputError(f"pattern '{pattern}' matches no weight{suggestion(pattern.strip('*.'), names)}")


def _slots(model: nn.Module, sample: Any) -> Iterator[Slot]:
    model = unwrap(model)
    infos = describe(model)
    following = follow(model, sample)
    for info in infos:
        path, _, attribute = info.name.rpartition(".")
        owner = _owner(model, path)
        with torch.no_grad():
            tensor = getattr(owner, attribute)
        shared = tuple(other.role for other in infos if other.tied_to == info.name)
        yield Slot(info, owner, tensor, following.get(path), shared)


def _owner(model: nn.Module, path: str) -> nn.Module:
    for name in filter(None, path.split(".")):
        model = unwrap(model.get_submodule(name))
    return model


def _plan(slot: Slot, wishes: Mapping[str, Wish], names: list[str]) -> _Plan:
    if slot.info.tied_to is not None:
        reason = f"shares its values with {slot.info.tied_to}"
        return _Plan(slot, Choice(None, reason=reason), Decision(slot.info.name, "tied", None, None, reason))
    choice = _wished(slot, wishes, names)
    if choice.scheme is None:
        return _Plan(slot, choice, Decision(slot.info.name, "left", None, None, choice.reason))
    block = blocks(slot.owner, slot.info.name, torch.empty(slot.tensor.shape, device="meta"))[0]
    try:
        # a trial on one column finds what does not fit before the first weight is written
        column = (block.size(0), *[1] * (block.dim() - 1)) if block.dim() else ()
        trial = torch.empty(column, device="cpu")
        choice.scheme.fill(trial, choice.options, torch.Generator())
        gain, std = spread(choice.scheme, block, choice.scheme.completed(choice.options))
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"'{slot.info.name}' cannot start as {choice.scheme.name}: {error}") from None
    if std is not None:
        if not math.isfinite(std):
            raise InputError(f"'{slot.info.name}' cannot start as {choice.scheme.name}: its spread would be {std}")
        std *= _correction(slot, choice)
    return _Plan(slot, choice, Decision(slot.info.name, choice.scheme.name, gain, std, choice.reason))


def _wished(slot: Slot, wishes: Mapping[str, Wish], names: list[str]) -> Choice:
    """What the first matching pattern asks for; a tied weight may be meant by any of its names."""
    for pattern, wish in wishes.items():
        if not any(matches(name, pattern) for name in names):
            continue
        name, options = _named(wish, pattern)
        if name == "kept":
            return Choice(None, reason="kept as it is")
        automatic = choose_automatically(slot)
        if name == "auto" or not (_drawable(slot.tensor) and _meant(slot, pattern)):
            return automatic
        reason = "asked for" if pattern == "*" else f"asked for by '{pattern}'"
        return Choice(find_scheme(name), options, reason)
    return Choice(None, reason="no pattern matches it")


def _drawable(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and tensor.numel() > 0


def _meant(slot: Slot, pattern: str) -> bool:
    """Whether a pattern that matches means this weight: vectors, and what nobody knows, only when named outright."""
    if slot.info.role == "bias":
        return "bias" in pattern
    if slot.info.role == "other":
        return pattern != "*" and (slot.tensor.dim() > 1 or slot.info.name == pattern)
    return slot.tensor.dim() > 1 or slot.info.name == pattern


def _correction(slot: Slot, choice: Choice) -> float:
    """He's and LeCun's schemes count a transposed convolution's inputs exactly: a stride thins out the kernel."""
    exact = choice.scheme is not None and choice.scheme.name.startswith(("he_", "lecun_"))
    return overlap(slot.owner) ** -0.5 if exact else 1.0


def _values(plan: _Plan, seed: int) -> Tensor:
    slot, choice = plan.slot, plan.choice
    assert choice.scheme is not None
    working = torch.float64 if slot.tensor.dtype == torch.float64 else torch.float32
    values = torch.zeros(slot.tensor.shape, dtype=working, device="cpu")  # whatever the default device
    generator = generator_for(seed, slot.info.name)
    for block in blocks(slot.owner, slot.info.name, values):
        choice.scheme.fill(block, choice.options, generator)
    values *= _correction(slot, choice)
    if slot.info.role == "bias" and "forget gate" in choice.reason and opens_forget_gate(slot):
        values.chunk(4)[1].fill_(1.0)
    padding = getattr(slot.owner, "padding_idx", None)
    if slot.info.role == "embedding" and padding is not None and choice.scheme.draws:
        values[padding] = 0.0
    return values


def _write(slot: Slot, values: Tensor) -> None:
    with torch.no_grad():
        if not parametrize.is_parametrized(slot.owner, slot.attribute):
            slot.tensor.copy_(values)
            return
        chains = slot.owner.parametrizations
        assert isinstance(chains, nn.ModuleDict)
        chain = chains[slot.attribute]
        assert isinstance(chain, parametrize.ParametrizationList)
        target = values.to(slot.tensor)
        if all(hasattr(step, "right_inverse") for step in chain):
            setattr(slot.owner, slot.attribute, target)
        elif hasattr(chain, "original"):
            assert isinstance(chain.original, Tensor)
            chain.original.copy_(target)
        else:
            raise InputError(f"'{slot.info.name}' has a parametrization that cannot be inverted: initialize it before")
