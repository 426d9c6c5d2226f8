"""L0 regularization: every weight, or row or column, has a gate that learns to be exactly 0 or 1."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from weightsmith.errors import InputError
from weightsmith.kinds.site import Site
from weightsmith.kinds.sparse.method import Clock, Evidence, Sparsifier
from weightsmith.names import choose
from weightsmith.penalties.penalty import check_strength
from weightsmith.seeding import generator_for

By = Literal["weights", "rows", "columns"]

BETA, GAMMA, ZETA = 2 / 3, -0.1, 1.1
"""Temperature and stretch of the hard concrete distribution (Louizos et al. 2018, section 4)."""


@dataclass(frozen=True)
class L0(Sparsifier):
    """Hard concrete gates (Louizos et al. 2018, "Learning sparse neural networks through L0 regularization").

    In training a gate is drawn from the hard concrete distribution, anew for each step of the controller; in evaluation
    it is the distribution's middle, cut to [0, 1], and exactly 0 for what is pruned. Gates learn by gradients of their
    own, so apply the kind before the optimizer is built. `controller.penalty()` belongs into the loss.

    Attributes:
        strength: price of each weight expected not to be 0, in the unit of the loss.
        by: whether each weight, each row (output) or each column (input) has a gate.
        dropped: chance of a gate to be 0 or below at its start, before it is stretched and cut.
        seed: of the draws; None: 0, or that of the recipe.
    """

    strength: float
    by: By = "weights"
    dropped: float = 0.5
    seed: int | None = None

    def __post_init__(self) -> None:
        check_strength(self.strength, "strength")
        choose(self.by, get_args(By), "grouping of l0")
        number = isinstance(self.dropped, Real) and not isinstance(self.dropped, bool)
        if not number or not 0 < self.dropped < 1:
            raise InputError(f"dropped is a share above 0 and below 1, not {self.dropped!r}")
        if self.seed is not None and (isinstance(self.seed, bool) or not isinstance(self.seed, int)):
            raise InputError(f"the seed is a whole number, not {self.seed!r}")

    def __str__(self) -> str:
        return f"a learned gate on {self.by}, at a price of {self.strength:.4g} for each weight"

    def refuse(self, site: Site, evidence: Evidence) -> str:
        """Rows of a grouped transposed convolution do not lie along one dimension."""
        return "l0 by rows needs a transposed convolution without groups" if site.groups > 1 and self._rows else ""

    @property
    def _rows(self) -> bool:
        return self.by == "rows"

    def parametrize(self, site: Site) -> nn.Module:
        """Gates of the right shape."""
        return Gates(self, site)

    def begin(self, sites: Sequence[Site], evidence: Evidence, clock: Clock) -> None:
        """Nothing: gates start by themselves."""

    def step(self, sites: Sequence[Site], clock: Clock) -> bool:
        """Draw the gates of the next step."""
        for site in sites:
            gates_of(site).draw(clock.steps)
        return False

    def penalty(self, sites: Sequence[Site]) -> Tensor:
        """The expected number of weights that are not 0, times the strength (equation 12)."""
        terms = [gates_of(site).expected() for site in sites]
        return self.strength * torch.stack([term.to(terms[0]) for term in terms]).sum()


class Gates(nn.Module):
    """Parametrization of a weight by itself times gates.

    Attributes:
        log_alpha: location of each gate, a flat parameter that neither decays nor is penalized otherwise.
        draws: number of the draw that training uses.
    """

    kind: ClassVar[str] = "sparse"
    draws: Tensor
    uniform: Tensor

    def __init__(self, settings: L0, site: Site) -> None:
        super().__init__()
        weight = site.stored
        self.name = site.name
        self.seed = settings.seed or 0
        self.shape = _gate_shape(weight, settings.by, transposed=site.groups > 0)
        self.each = weight.numel() // max(math.prod(self.shape), 1)
        start = math.log(1 - settings.dropped) - math.log(settings.dropped)
        generator = generator_for(self.seed, f"{self.name}\0gates")
        noise = torch.randn(math.prod(self.shape), generator=generator, device="cpu")
        self.log_alpha = nn.Parameter((start + 0.01 * noise).to(weight.device, weight.dtype))
        self.register_buffer("draws", torch.zeros((), dtype=torch.int64, device=weight.device))
        # drawn anew from their number when a state is loaded
        self.register_buffer("uniform", torch.zeros_like(self.log_alpha, dtype=torch.float32), persistent=False)
        self.draw(0)

    def forward(self, weight: Tensor) -> Tensor:
        """The weight times its gates; +0 where a gate is closed."""
        gates = self.gates().to(weight.dtype)
        return torch.where(gates > 0, weight * gates, 0.0)

    def gates(self) -> Tensor:
        """Each gate, from 0 to 1, of a shape that broadcasts to the weight's."""
        location = self.log_alpha.float()
        if self.training:
            chance = torch.sigmoid((torch.logit(self.uniform, eps=1e-6) + location) / BETA)
        else:
            chance = torch.sigmoid(location)
        return (chance * (ZETA - GAMMA) + GAMMA).clamp(0, 1).view(self.shape)

    def expected(self) -> Tensor:
        """Expected number of weights whose gate is not 0."""
        return torch.sigmoid(self.log_alpha.float() - BETA * math.log(-GAMMA / ZETA)).sum() * self.each

    @property
    def mask(self) -> Tensor:
        """Gates that are open in evaluation: bool, of a shape that broadcasts to the weight's."""
        return (torch.sigmoid(self.log_alpha.detach().float()) * (ZETA - GAMMA) + GAMMA > 0).view(self.shape)

    def draw(self, number: int) -> None:
        """Take the draw of a number."""
        if self.uniform.is_meta:
            return
        generator = generator_for(self.seed, f"{self.name}\0gates {number}")
        with torch.no_grad():
            self.draws.fill_(number)
            self.uniform.copy_(torch.rand(self.uniform.shape, generator=generator, device="cpu"))

    def right_inverse(self, weight: Tensor) -> Tensor:
        """The weight itself."""
        return weight

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self.draw(int(self.draws))


def gates_of(site: Site) -> Gates:
    """The gates of a weight."""
    return next(step for step in site.chain if isinstance(step, Gates))


def _gate_shape(weight: Tensor, by: By, *, transposed: bool) -> tuple[int, ...]:
    if by == "weights":
        return tuple(weight.shape)
    kept = 0 if (by == "rows") != transposed else 1
    return tuple(size if axis == kept else 1 for axis, size in enumerate(weight.shape))
