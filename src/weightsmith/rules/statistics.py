"""The running means and variances of batch norm in a set of weights; what the rules on batch norm share."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from weightsmith.rules.rule import NotCheckedError, Subject
from weightsmith.sources import Weight

_VARIANCE = re.compile(r"(^|[._/])(running_var|moving_variance)(:0)?$")
_PAIRS = {"running_var": "running_mean", "moving_variance": "moving_mean"}

MOST_CHANNELS = 1 << 20
"""More channels than any batch norm has: a vector longer than this is something else."""


@dataclass(frozen=True)
class Moments:
    """The statistics of one batch norm: its variances and, where they are found beside them, its means."""

    variance: Weight
    mean: Weight | None


def batch_norms(subject: Subject) -> Iterator[Moments]:
    """The statistics of each batch norm, by the names that PyTorch and Keras give them.

    Raises:
        NotCheckedError: there are none.
    """
    source = subject.require_weights()
    found = False
    for name, weight in source.items():
        match = _VARIANCE.search(name)
        if match and 1 <= weight.size <= MOST_CHANNELS and len(weight.shape) == 1:
            found = True
            mean = f"{name[: match.start(2)]}{_PAIRS[match[2]]}{name[match.end(2) :]}"
            sibling = source[mean] if mean in source and source[mean].shape == weight.shape else None
            yield Moments(weight, sibling)
    if not found:
        raise NotCheckedError("there are no running variances of batch norm")
