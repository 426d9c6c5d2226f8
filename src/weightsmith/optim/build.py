"""An optimizer by name, with decay and penalties on weights alone."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from weightsmith.errors import InputError
from weightsmith.names import Patterns, choose
from weightsmith.optim.catalog import ALIASES, OPTIMIZERS, OptimizerInfo
from weightsmith.optim.groups import Parameter, Parameters, held_back, named_parameters, trainable
from weightsmith.optim.joint import ALGORITHM
from weightsmith.optim.options import not_negative, positive, read_options
from weightsmith.optim.proximal import Proximal
from weightsmith.penalties import ElasticNet, Penalties, Penalty
from weightsmith.penalties.penalty import check_strength


def build(
    model_or_named_parameters: Parameters,
    name: str,
    lr: float | None = None,
    *,
    weight_decay: float | None = None,
    l1: float = 0.0,
    l2: float = 0.0,
    penalties: Penalties = (),
    include: Patterns = "*",
    exclude: Patterns = (),
    **options: Any,
) -> torch.optim.Optimizer:
    """Build an optimizer whose decay and penalties never touch biases and norms.

    Where PyTorch has the optimizer as one compiled loop for the parameters' device, that is used.

    Args:
        model_or_named_parameters: a model, or names and parameters; those that require no gradient are left out.
        name: one of `OPTIMIZERS`, or an alias (`sgd`).
        lr: learning rate; None: the optimizer's own default.
        weight_decay: as PyTorch has it: added to the gradient, or apart from it for `adamw` and `muon`; None: the
            optimizer's own default (0 except for those two).
        l1: strength of an exact L1 penalty (`Proximal`).
        l2: strength of an exact L2 penalty (`Proximal`), half the sum of squares.
        penalties: further penalties with a proximal step, for all weights or by name pattern.
        include: patterns of the weights that decay and penalties may act on.
        exclude: patterns of the weights that they leave alone.
        **options: the optimizer's own options, see `OPTIMIZERS[name].options`.

    Returns:
        An optimizer of PyTorch; a `Proximal` one where there are penalties.

    Raises:
        InputError: naming the argument, the value given and the values allowed.
    """
    known = choose(name, [*OPTIMIZERS, *ALIASES], "optimizer")
    info = OPTIMIZERS[ALIASES.get(known, known)]
    settings = {
        **read_options(f"optimizer '{info.name}'", info.options, options),
        **read_options(
            "build",
            {"lr": positive(info.lr), "weight_decay": not_negative(info.weight_decay)},
            {key: value for key, value in (("lr", lr), ("weight_decay", weight_decay)) if value is not None},
        ),
    }
    check_strength(l1, "l1")
    check_strength(l2, "l2")
    combined = _combine(ElasticNet(l1, l2), penalties)
    given = model_or_named_parameters
    # a generator is read twice
    source = list(given) if isinstance(given, Iterator) else given
    parameters = trainable(named_parameters(source))
    _check_flipped(info, parameters)
    held = held_back(parameters, include, exclude)
    optimizer = _make(info, parameters, held, settings, _has_sparse_gradients(source))
    if combined:
        optimizer = Proximal(optimizer, combined, source, include=include, exclude=exclude)
    optimizer.register_load_state_dict_pre_hook(_keep_fused)
    return optimizer


def _combine(everywhere: ElasticNet, penalties: Penalties) -> Penalties:
    """The penalties by pattern, each together with that for all weights."""
    base: tuple[Penalty, ...] = (everywhere,) if everywhere.l1 or everywhere.l2 else ()
    if not isinstance(penalties, Mapping):
        return (*base, *_as_tuple(penalties))
    patterns = {pattern: (*base, *_as_tuple(given)) for pattern, given in penalties.items()}
    return {**patterns, "*": patterns.get("*", base)} if base else patterns


def _as_tuple(given: Penalty | Sequence[Penalty]) -> tuple[Penalty, ...]:
    return tuple(given) if isinstance(given, Sequence) and not isinstance(given, str) else (given,)


def _check_flipped(info: OptimizerInfo, parameters: Sequence[Parameter]) -> None:
    """Refuse weights without latent ones for an optimizer that takes small steps, and Bop where there are none."""
    flipped = [each.name for each in parameters if each.flips]
    if info.name == "bop" and not flipped:
        raise InputError(
            "optimizer 'bop' flips binary weights without latent ones, and there are none: make them with "
            "kinds.binary(model, latent=False) first"
        )
    if info.name != "bop" and flipped:
        raise InputError(
            f"optimizer '{info.name}' takes small steps, and '{flipped[0]}' is binary without latent weights: choose "
            "'bop', or keep latent weights"
        )


def _make(
    info: OptimizerInfo,
    parameters: Sequence[Parameter],
    held: Sequence[Parameter],
    settings: dict[str, Any],
    sparse: bool,
) -> torch.optim.Optimizer:
    decaying = {id(each.tensor) for each in held}
    groups: dict[tuple[str, float], list[tuple[str, torch.Tensor]]] = {}
    for each in parameters:
        algorithm = _ALGORITHMS[info.name](each) if info.name in _ALGORITHMS else ""
        decay = settings["weight_decay"] if id(each.tensor) in decaying else 0.0
        groups.setdefault((algorithm, decay), []).append((each.name, each.tensor))
    listed = [
        {"params": params, "weight_decay": decay, **({ALGORITHM: algorithm} if algorithm else {})}
        for (algorithm, decay), params in groups.items()
    ]
    can_fuse = not sparse and all(_can_fuse(each.tensor, info) for each in parameters)
    arguments = {**settings, **info.fixed, **({"fused": True} if can_fuse else {})}
    return info.optimizer(listed, **arguments)


def _keep_fused(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> dict[str, Any] | None:
    """Take a state without its choice of loops, which PyTorch would take over: it hangs on the device at hand."""
    saved, own = state["param_groups"], optimizer.param_groups
    if len(saved) != len(own):
        return None  # which PyTorch refuses
    groups = [
        {**one, "fused": other["fused"]} if "fused" in other else one for one, other in zip(saved, own, strict=True)
    ]
    return {**state, "param_groups": groups}


def _can_fuse(tensor: torch.Tensor, info: OptimizerInfo) -> bool:
    # On the CPU PyTorch's compiled loops take every tensor's memory as dense and move a strided view wrongly, and that
    # of SGD moves 16 bits wrongly wherever a vector register is full (2.13).
    wrong = tensor.is_cpu and tensor.itemsize < 4 and info.optimizer is torch.optim.SGD
    return tensor.device.type in info.fused and tensor.is_floating_point() and tensor.is_contiguous() and not wrong


def _muon_or_adamw(parameter: Parameter) -> str:
    """Muon is for the matrices between layers; AdamW moves embeddings too (Jordan et al. 2024)."""
    return "muon" if parameter.tensor.ndim == 2 and parameter.role in ("linear", "recurrent") else "adamw"


def _bop_or_adam(parameter: Parameter) -> str:
    return "bop" if parameter.flips else "adam"


_ALGORITHMS: dict[str, Callable[[Parameter], str]] = {"muon": _muon_or_adamw, "bop": _bop_or_adam}
"""Which of its two algorithms moves a parameter, by optimizer."""


def _has_sparse_gradients(parameters: Parameters) -> bool:
    """Whether an embedding gives sparse gradients, which the compiled loops refuse."""
    modules = parameters.modules() if isinstance(parameters, nn.Module) else ()
    return any(getattr(module, "sparse", False) for module in modules)
