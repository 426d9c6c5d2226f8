"""A sparse model with one layer that is all but empty.

## What it does
In models at least half of whose weights (linear, convolutional and recurrent) are zero, reports a layer that keeps a
tenth of the share the model keeps, or less, and fewer weights than it has units. Layers of nothing but zeros are
WS240's.

## Why it is bad
All that the model knows has to pass through those few connections: most units of the layer are dead, and the weights of
its neighbors that lead to them are wasted. Pruning by one criterion over all layers does that to the widest or the
narrowest layer long before the model is as sparse as it could be.

## Threshold
Fewer weights than units: the average unit is dead. A tenth of the model's share keeps out layers that are merely
sparser, as random allocations of Erdos-Renyi type make the wide ones.

## What to do
Prune in several rounds, give each layer its own share (`scope: erk`), or leave that layer out.

## References
Tanaka et al. (2020), "Pruning neural networks without any data by iteratively conserving synaptic flow", on layer
collapse.
"""

from collections.abc import Iterator

from weightsmith.rules.finding import Finding
from weightsmith.rules.matrices import float_weights
from weightsmith.rules.rule import NotCheckedError, Rule, Subject

THRESHOLDS = {"share": 0.1}
LEAST_SIZE = 256
LEAST_SPARSITY = 0.5


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each layer that is nearly empty while others are not."""
    limit = subject.threshold(rule, "share")
    weights = float_weights(rule, subject, roles=("linear", "conv", "recurrent"), least_size=LEAST_SIZE)
    kept = {weight.name: weight.size - subject.sketch(weight).zeros for weight in weights}
    total = sum(weight.size for weight in weights)
    density = sum(kept.values()) / total
    if len(weights) < 2 or 1 - density < LEAST_SPARSITY:
        raise NotCheckedError("the model is not sparse: fewer than half of its weights are zero")
    for weight in weights:
        rows, count = weight.shape[weight.info.output_axis], kept[weight.name]
        share = count / weight.size / density if density else 1.0
        if 0 < count < rows and share < limit:
            yield rule.finding(
                f"It keeps {count} of {weight.size} weights, fewer than its {rows} units; "
                f"the model as a whole keeps {density:.1%}.",
                "Prune in several rounds, give each layer its own share (scope: erk), or leave this layer out.",
                {"kept": count, "threshold": rows, "share_of_density": share, "density": density},
                weight=weight.name,
            )
