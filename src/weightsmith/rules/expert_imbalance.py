"""Experts of one layer at very different scales.

## What it does
Compares the root mean squares of the experts of each layer (weights whose names differ only in the number after
`experts`, or one weight with an expert on its first axis) and reports one more than 4 times above or below the median
of at least 4.

## Why it is bad
Experts start alike and grow with use: one far below the others is hardly ever chosen, one far above draws most tokens.
Capacity is paid for and not used.

## Threshold
A factor of 4: experts are of one shape and start alike, and a balancing loss keeps their use alike. No released model
with experts was at hand to calibrate this.

## What to do
Raise the weight of the balancing loss or use one without auxiliary loss; prune experts that are not chosen.

## References
Shazeer et al. (2017), "Outrageously Large Neural Networks", section 4; Fedus, Zoph and Shazeer (2022), "Switch
Transformers", section 2.2.
"""

import re
from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from weightsmith.rules.finding import Finding
from weightsmith.rules.matrices import is_float, rows_of
from weightsmith.rules.rule import NotCheckedError, Rule, Subject
from weightsmith.sources import Weight

THRESHOLDS = {"ratio": 4.0}
LEAST_EXPERTS = 4
_EXPERT = re.compile(r"(^|[._])experts?[._](\d+)(?=[._])")
_STACKED = re.compile(r"(^|[._])experts?($|[._])")


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each expert far from its peers."""
    limit = subject.threshold(rule, "ratio")
    layers = _layers(rule, subject)
    if not layers:
        raise NotCheckedError(f"no layer with {LEAST_EXPERTS} experts was recognized")
    for experts in layers:
        median = float(np.median([size for _, _, size in experts]))
        for weight, index, size in experts:
            if size > limit * median or size * limit < median:
                beside = f"{size / median:.3g} times" if median else "beside"
                yield rule.finding(
                    f"Expert {index} has a root mean square of {size:.3g}, {beside} the median of {median:.3g} over "
                    f"{len(experts)} experts.",
                    "Balance the load of the experts in training, or prune those that are not chosen.",
                    {"expert": index, "rms": size, "median": median, "experts": len(experts), "threshold": limit},
                    weight=weight.name,
                )


def _layers(rule: Rule, subject: Subject) -> list[list[tuple[Weight, int, float]]]:
    """Per layer: weight, number and root mean square of each expert."""
    found: dict[str, list[tuple[Weight, int, float]]] = defaultdict(list)
    for weight in subject.each(roles=("linear", "conv"), least_axes=2):
        if not is_float(weight):
            continue
        match = _EXPERT.search(weight.name)
        if match:
            layer = f"{weight.name[: match.start(2)]}#{weight.name[match.end(2) :]}"
            found[layer].append((weight, int(match[2]), subject.sketch(weight).rms))
        elif _STACKED.search(weight.name) and len(weight.shape) == 3 and weight.shape[0] <= 1024:
            sizes = _stacked(rule, subject, weight)
            found[weight.name] = [(weight, index, size) for index, size in enumerate(sizes)]
    return [experts for experts in found.values() if len(experts) >= LEAST_EXPERTS]


def _stacked(rule: Rule, subject: Subject, weight: Weight) -> list[float]:
    """Root mean square of each slice of the first axis."""
    statistics = rows_of(rule, subject, weight)
    if statistics is None:
        return []
    if weight.info.output_axis != 0:
        # Inputs run over all axes but the neurons', the experts' first.
        means = (statistics.inputs.squares / statistics.inputs.length).reshape(weight.shape[0], -1).mean(axis=1)
        return [float(value) for value in np.sqrt(means)]
    return [float(value) for value in statistics.neurons.rms]
