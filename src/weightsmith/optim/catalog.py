"""The table of optimizers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from weightsmith.optim.bop import BopWithAdam
from weightsmith.optim.muon import MuonWithAdamW
from weightsmith.optim.options import Option, betas, flag, is_number, not_negative, one_of, positive, share, whole

_EVERYWHERE = frozenset({"cpu", "cuda"})


@dataclass(frozen=True)
class OptimizerInfo:
    """What there is to know about an optimizer.

    Attributes:
        name: what recipes call it.
        optimizer: the class that does the work.
        summary: one line.
        reference: author and year.
        lr: learning rate where none is given.
        weight_decay: decay of the weights where none is given.
        options: its own options.
        fixed: arguments of the class that make it this optimizer.
        fused: types of devices on which PyTorch has it as one compiled loop.
        aliases: other names of it.
    """

    name: str
    optimizer: type[torch.optim.Optimizer]
    summary: str
    reference: str
    lr: float
    weight_decay: float = 0.0
    options: Mapping[str, Option] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    fused: frozenset[str] = frozenset()
    aliases: tuple[str, ...] = ()


_ADAM_OPTIONS = {"betas": betas((0.9, 0.999)), "eps": not_negative(1e-8), "amsgrad": flag(False)}

_INFOS = (
    OptimizerInfo(
        name="gradient_descent",
        optimizer=torch.optim.SGD,
        summary="straight down the gradient",
        reference="Robbins & Monro 1951",
        lr=0.1,
        fused=_EVERYWHERE,
        aliases=("sgd",),
    ),
    OptimizerInfo(
        name="momentum",
        optimizer=torch.optim.SGD,
        summary="gradient descent with a heavy ball's inertia",
        reference="Polyak 1964",
        lr=0.01,
        options={"momentum": share(0.9), "dampening": share(0.0)},
        fused=_EVERYWHERE,
    ),
    OptimizerInfo(
        name="nesterov",
        optimizer=torch.optim.SGD,
        summary="momentum that looks ahead",
        reference="Nesterov 1983; Sutskever et al. 2013",
        lr=0.01,
        options={"momentum": Option(0.9, "a number in (0, 1)", lambda value: share(0.0).accepts(value) and value > 0)},
        fixed={"nesterov": True},
        fused=_EVERYWHERE,
    ),
    OptimizerInfo(
        name="rmsprop",
        optimizer=torch.optim.RMSprop,
        summary="steps divided by the recent size of each weight's gradient",
        reference="Tieleman & Hinton 2012",
        lr=1e-3,
        options={
            "alpha": share(0.99),
            "eps": not_negative(1e-8),
            "momentum": share(0.0),
            "centered": flag(False),
        },
    ),
    OptimizerInfo(
        name="adam",
        optimizer=torch.optim.Adam,
        summary="momentum and RMSprop together; weight decay is added to the gradient",
        reference="Kingma & Ba 2015",
        lr=1e-3,
        options=_ADAM_OPTIONS,
        fused=_EVERYWHERE,
    ),
    OptimizerInfo(
        name="adamw",
        optimizer=torch.optim.AdamW,
        summary="Adam with weight decay apart from the gradient",
        reference="Loshchilov & Hutter 2019",
        lr=1e-3,
        weight_decay=0.01,
        options=_ADAM_OPTIONS,
        fused=_EVERYWHERE,
    ),
    OptimizerInfo(
        name="adagrad",
        optimizer=torch.optim.Adagrad,
        summary="steps divided by the size of all gradients so far",
        reference="Duchi et al. 2011",
        lr=1e-2,
        options={
            "lr_decay": not_negative(0.0),
            "initial_accumulator_value": not_negative(0.0),
            "eps": not_negative(1e-10),
        },
        fused=frozenset({"cpu"}),
    ),
    OptimizerInfo(
        name="muon",
        optimizer=MuonWithAdamW,
        summary="orthogonalized momentum for matrices, AdamW for all other parameters",
        reference="Jordan et al. 2024; Liu et al. 2025",
        lr=1e-3,
        weight_decay=0.01,
        options={
            "momentum": share(0.95),
            "nesterov": flag(True),
            "ns_steps": whole(5, 1, 99),
            "adjust_lr_fn": one_of("match_rms_adamw", "match_rms_adamw", "original"),
            "betas": betas((0.9, 0.999)),
            "eps": positive(1e-8),
        },
        fused=_EVERYWHERE,
    ),
    OptimizerInfo(
        name="bop",
        optimizer=BopWithAdam,
        summary="flips binary weights that have no latent ones; Adam for all other parameters",
        reference="Helwegen et al. 2019",
        lr=1e-3,
        options={
            "gamma": Option(1e-4, "a number in (0, 1]", lambda value: is_number(value) and 0 < value <= 1),
            "threshold": not_negative(1e-8),
            "betas": betas((0.9, 0.999)),
            "eps": not_negative(1e-8),
        },
        fused=_EVERYWHERE,
    ),
)

OPTIMIZERS: dict[str, OptimizerInfo] = {info.name: info for info in _INFOS}
ALIASES: dict[str, str] = {alias: info.name for info in _INFOS for alias in info.aliases}
