"""All methods of sparse weights by name."""

from dataclasses import MISSING, dataclass, fields
from typing import Any

from weightsmith.kinds.sparse.l0 import L0
from weightsmith.kinds.sparse.magnitude import Magnitude
from weightsmith.kinds.sparse.method import Sparsifier
from weightsmith.kinds.sparse.movement import Movement
from weightsmith.kinds.sparse.proximal import ProximalGroupLasso, ProximalL1
from weightsmith.kinds.sparse.rigl import RigL
from weightsmith.kinds.sparse.set import Set
from weightsmith.kinds.sparse.snip import Snip
from weightsmith.kinds.sparse.spred import Spred
from weightsmith.kinds.sparse.structured import Structured
from weightsmith.kinds.sparse.wanda import Wanda


@dataclass(frozen=True)
class Method:
    """One way to sparse weights.

    Attributes:
        name: its name in recipes.
        settings: the class of its options.
        description: one line.
        paper: author and year.
        needs: `samples` or `loss`, where it looks at data before training.
        learns: whether it adds parameters, so that the optimizer has to be built after it.
    """

    name: str
    settings: type[Sparsifier]
    description: str
    paper: str
    needs: str = ""
    learns: bool = False

    @property
    def options(self) -> tuple[str, ...]:
        """Names of its options."""
        return tuple(option.name for option in fields(self.settings))  # type: ignore[arg-type]

    @property
    def defaults(self) -> dict[str, Any]:
        """Value of each option that may be left out."""
        every = fields(self.settings)  # type: ignore[arg-type]
        return {option.name: option.default for option in every if option.default is not MISSING}


METHODS = {
    method.name: method
    for method in (
        Method(
            "magnitude",
            Magnitude,
            "the smallest weights go, gradually or at once: one by one, n of m, in blocks, or per output",
            "Zhu & Gupta 2017",
        ),
        Method("set", Set, "sparse from the start, rewired at random", "Mocanu et al. 2018"),
        Method("rigl", RigL, "sparse from the start, rewired where the gradient is largest", "Evci et al. 2020"),
        Method("snip", Snip, "pruned before training by the loss of one batch", "Lee et al. 2019", needs="loss"),
        Method("wanda", Wanda, "pruned at once by weight times input", "Sun et al. 2023", needs="samples"),
        Method("movement", Movement, "weights that move towards 0 go, gradually", "Sanh et al. 2020"),
        Method("l0", L0, "gates that learn to close, at a price for each weight", "Louizos et al. 2018", learns=True),
        Method("spred", Spred, "L1 through a product of two weights", "Ziyin & Wang 2023", learns=True),
        Method("l1", ProximalL1, "exact zeros from proximal steps", "Tibshirani 1996"),
        Method("group_lasso", ProximalGroupLasso, "rows, columns or filters of exact zeros", "Yuan & Lin 2006"),
        Method("structured", Structured, "whole outputs go, gradually", "Li et al. 2017"),
    )
}
