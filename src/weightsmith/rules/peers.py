"""How large a weight is beside others of its kind; what the rules on exploded and vanished norms share."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from weightsmith.rules.matrices import float_weights, template
from weightsmith.rules.rule import Rule, Subject
from weightsmith.sources import Weight

LEAST_PEERS = 5
LEAST_SIZE = 64
_LEAST_SPREAD = 0.2
"""Peers closer together than 20 % are taken to spread by that much, so that no tiny difference stands out."""


@dataclass(frozen=True)
class Compared:
    """A weight beside its peers.

    Attributes:
        weight: the weight.
        size: its root mean square (of repeated layers) or gain (root mean square times the root of its fan-in).
        usual: the median of that over all peers, itself included.
        score: distance of the logarithms, in robust standard deviations (1.4826 MAD); negative where it is smaller.
        peers: how many there are.
        repeated: whether the peers are the same weight of repeated layers, rather than all weights of its role.
    """

    weight: Weight
    size: float
    usual: float
    score: float
    peers: int
    repeated: bool


def compared(rule: Rule, subject: Subject) -> Iterator[Compared]:
    """Compare each linear, convolutional and recurrent weight with its peers; those of zeros alone are left out."""
    weights = [
        weight
        for weight in float_weights(rule, subject, roles=("linear", "conv", "recurrent"), least_size=LEAST_SIZE)
        if subject.sketch(weight).sum_of_squares > 0
    ]
    groups: dict[tuple[str, tuple[int, ...]], list[Weight]] = defaultdict(list)
    for weight in weights:
        groups[template(weight.name), weight.shape].append(weight)
    for group in groups.values():
        if len(group) >= LEAST_PEERS:
            yield from _within(subject, group, repeated=True)
    alone = [weight for group in groups.values() if len(group) < LEAST_PEERS for weight in group]
    for role in dict.fromkeys(weight.role for weight in alone):
        same = [weight for weight in weights if weight.role == role]
        if len(same) >= LEAST_PEERS:
            chosen = {weight.name for weight in alone}
            yield from (found for found in _within(subject, same, repeated=False) if found.weight.name in chosen)
        else:
            for weight in same:
                subject.skip(rule, weight.name, f"fewer than {LEAST_PEERS} weights of its role to compare with")


def _within(subject: Subject, group: list[Weight], *, repeated: bool) -> Iterator[Compared]:
    sizes = [subject.sketch(weight).rms * (1.0 if repeated else _fan_in(weight) ** 0.5) for weight in group]
    logs = np.log(sizes)
    middle = float(np.median(logs))
    spread = max(1.4826 * float(np.median(np.abs(logs - middle))), _LEAST_SPREAD)
    for weight, size, log in zip(group, sizes, logs, strict=True):
        yield Compared(weight, size, float(np.exp(middle)), float(log - middle) / spread, len(group), repeated)


def _fan_in(weight: Weight) -> float:
    return weight.size / max(weight.shape[weight.info.output_axis], 1)
