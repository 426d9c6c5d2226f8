"""Those of smallest magnitude are masked, one by one, in blocks, or so that each output keeps as many inputs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import get_args

from torch import Tensor

from weightsmith.errors import InputError
from weightsmith.kinds.site import Site
from weightsmith.kinds.sparse.gradual import Gradual
from weightsmith.kinds.sparse.patterns import (
    Block,
    Scope,
    check_groups,
    keep_highest,
    keep_in_groups,
    kept_of_each,
)
from weightsmith.names import choose


@dataclass(frozen=True)
class Magnitude(Gradual):
    """The smallest weights go, along a cubic (Zhu & Gupta 2017, "To prune, or not to prune").

    Attributes:
        sparsity: final share of zeros; may be left out where `n` and `m` say it.
        start: share of training at which pruning starts.
        end: share of training from which on the sparsity is full. With `start=0, end=0` weights are pruned at once.
        scope: `global` prunes the smallest of all weights together, `layer` the same share of each, `erk` more of large
            layers (Evci et al. 2020). No global threshold gives every output as many inputs: with `n` or `fan_in`
            it means `layer`.
        n: with `m`: how many of every `m` inputs of an output stay (Mishra et al. 2021, "Accelerating sparse deep
            neural networks"), inputs in the order of the flattened `(in, *kernel)`.
        m: see `n`.
        block: outputs and inputs that go or stay together, by their mean magnitude, such as (4, 4); the sparsity is
            then a share of blocks.
        fan_in: whether every output of a layer keeps the same number of inputs (Lasby et al. 2023, "Dynamic sparse
            training with structured sparsity").
    """

    sparsity: float = None  # type: ignore[assignment] # n and m may say it
    start: float = 0.1
    end: float = 0.75
    scope: Scope = "global"
    n: int | None = None
    m: int | None = None
    block: Block | None = None
    fan_in: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.fan_in, bool):
            raise InputError(f"fan_in is True or False, not {self.fan_in!r}")
        if (self.n is not None or self.m is not None) + (self.block is not None) + self.fan_in > 1:
            raise InputError("give one pattern: n and m, block, or fan_in")
        if self.block is not None:
            object.__setattr__(self, "block", _checked_block(self.block))
        if self.n is not None or self.m is not None:
            self._check_groups()
        elif self.sparsity is None:
            raise InputError("method 'magnitude' needs the option 'sparsity', or n and m")
        choose(self.scope, get_args(Scope), "scope")
        super().__post_init__()

    def _check_groups(self) -> None:
        check_groups(self.n, self.m)
        assert self.n is not None
        assert self.m is not None
        share = 1 - self.n / self.m
        given = self.sparsity
        if given is not None and not (isinstance(given, Real) and abs(given - share) < 0.005):
            raise InputError(f"{self.n} of every {self.m} weights are a sparsity of {share:.4g}, not {given}: drop one")
        if self.scope == "erk":
            raise InputError("n and m leave the same share of every layer: scope is layer, not erk")
        object.__setattr__(self, "sparsity", share)

    def __str__(self) -> str:
        if self.fan_in and self.scope == "global":
            return str(replace(self, scope="layer"))
        text = super().__str__()
        if self.n is not None:
            return f"{self.n} of every {self.m} inputs left from {self.end:.0%} of training on"
        if self.block is not None:
            return f"{text}, in blocks of {self.block[0]} x {self.block[1]}"
        return f"{text}, every output with as many inputs" if self.fan_in else text

    def score(self, site: Site) -> Tensor:
        """The magnitude."""
        return site.stored.abs()

    def keep(self, sites: Sequence[Site], scores: Sequence[Tensor], ramp: float) -> list[Tensor]:
        """Which weights stay at a share of the final sparsity, as rows."""
        if self.n is not None and self.m is not None:
            left = self.m - round(ramp * (self.m - self.n))
            return [keep_in_groups(score, self.m, left) for score in scores]
        if self.fan_in:
            kept = kept_of_each(sites, self.sparsity, self.scope)  # `global` is as `layer` here
            return [_same_fan_in(score, count, ramp) for score, count in zip(scores, kept, strict=True)]
        return keep_highest(sites, scores, self.sparsity, self.scope, ramp, self.block)


def _same_fan_in(score: Tensor, kept: int, ramp: float) -> Tensor:
    outputs, inputs = score.shape
    final = inputs_of_each(kept, outputs, inputs)
    return keep_in_groups(score, max(inputs, 1), inputs - round(ramp * (inputs - final)))


def inputs_of_each(kept: int, outputs: int, inputs: int) -> int:
    """How many inputs every output keeps where a layer keeps so many weights: at least one."""
    return min(inputs, max(1, round(kept / max(outputs, 1))))


def _checked_block(block: object) -> Block:
    sides = tuple(block) if isinstance(block, (tuple, list)) else ()
    whole = all(isinstance(side, Integral) and not isinstance(side, bool) and int(side) >= 1 for side in sides)
    if len(sides) != 2 or not whole:
        raise InputError(f"block is a pair of whole numbers of at least 1, such as (4, 4), not {block!r}")
    return int(sides[0]), int(sides[1])
