"""How weights start: `torch.nn.init` by its own names, and whole models by name, by pattern or automatically."""

from weightsmith.init.apply import apply, explain
from weightsmith.init.decision import Decision, Decisions
from weightsmith.init.following import following_activations
from weightsmith.init.functions import (
    constant_,
    dirac_,
    eye_,
    fans,
    kaiming_normal_,
    kaiming_uniform_,
    lecun_normal_,
    lecun_uniform_,
    normal_,
    ones_,
    orthogonal_,
    sparse_,
    trunc_normal_,
    truncated_normal_,
    uniform_,
    xavier_normal_,
    xavier_uniform_,
    zeros_,
)
from weightsmith.init.gains import ACTIVATIONS, Activation, calculate_gain
from weightsmith.init.schemes import SCHEMES, Scheme

__all__ = [
    "ACTIVATIONS",
    "SCHEMES",
    "Activation",
    "Decision",
    "Decisions",
    "Scheme",
    "apply",
    "calculate_gain",
    "constant_",
    "dirac_",
    "explain",
    "eye_",
    "fans",
    "following_activations",
    "kaiming_normal_",
    "kaiming_uniform_",
    "lecun_normal_",
    "lecun_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "truncated_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]
