"""What holds weights back: penalties as loss terms or exact proximal steps, and what they left."""

from weightsmith.penalties.assign import Penalties, assign, loss_term
from weightsmith.penalties.catalog import PENALTIES, PenaltyInfo
from weightsmith.penalties.elementwise import L1, L2, ElasticNet
from weightsmith.penalties.group_lasso import GroupLasso
from weightsmith.penalties.max_norm import MaxNorm
from weightsmith.penalties.optimality import group_kkt_residual, kkt_residual, relative_kkt_residual
from weightsmith.penalties.orthogonality import Orthogonality
from weightsmith.penalties.penalty import LossTerm, Penalty, Proximable
from weightsmith.penalties.report import Feature, Zeros, count_zeros, rank_features

__all__ = [
    "L1",
    "L2",
    "PENALTIES",
    "ElasticNet",
    "Feature",
    "GroupLasso",
    "LossTerm",
    "MaxNorm",
    "Orthogonality",
    "Penalties",
    "Penalty",
    "PenaltyInfo",
    "Proximable",
    "Zeros",
    "assign",
    "count_zeros",
    "group_kkt_residual",
    "kkt_residual",
    "loss_term",
    "rank_features",
    "relative_kkt_residual",
]
