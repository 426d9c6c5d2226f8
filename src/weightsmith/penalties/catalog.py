"""The table of penalties."""

from dataclasses import dataclass

from weightsmith.penalties.elementwise import L1, L2, ElasticNet
from weightsmith.penalties.group_lasso import GroupLasso
from weightsmith.penalties.max_norm import MaxNorm
from weightsmith.penalties.orthogonality import Orthogonality
from weightsmith.penalties.penalty import Penalty


@dataclass(frozen=True)
class PenaltyInfo:
    """What there is to know about a penalty.

    Attributes:
        name: what recipes call it.
        penalty: the class; its fields are the options.
        summary: one line.
        loss_term: whether it can be added to the loss.
        proximal: whether it can be applied as an exact proximal step.
        reference: author and year.
    """

    name: str
    penalty: type[Penalty]
    summary: str
    loss_term: bool
    proximal: bool
    reference: str


_INFOS = (
    PenaltyInfo("l1", L1, "sum of absolute values: exact zeros, element by element", True, True, "Tibshirani 1996"),
    PenaltyInfo("l2", L2, "half the sum of squares: small weights, no zeros", True, True, "Hoerl & Kennard 1970"),
    PenaltyInfo("elastic_net", ElasticNet, "L1 and L2 together", True, True, "Zou & Hastie 2005"),
    PenaltyInfo(
        "group_lasso",
        GroupLasso,
        "norms of rows, columns or filters: whole groups vanish",
        True,
        True,
        "Yuan & Lin 2006",
    ),
    PenaltyInfo(
        "max_norm", MaxNorm, "the weights into a unit are no longer than a limit", False, True, "Srivastava et al. 2014"
    ),
    PenaltyInfo("orthogonality", Orthogonality, "rows stay close to orthonormal", True, False, "Bansal et al. 2018"),
)

PENALTIES: dict[str, PenaltyInfo] = {info.name: info for info in _INFOS}
