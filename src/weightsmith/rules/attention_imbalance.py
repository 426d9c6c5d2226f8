"""Query, key and value, or the heads of one of them, at very different scales.

## What it does
Compares the root mean squares of the query, key and value weights of each attention layer (siblings called `query`,
`key`, `value`, `q_proj`, `k_proj`, `v_proj` and the like, or one weight in which the three are stacked), and within
each of them the root mean squares of bands of 32 rows, which lie within one head in nearly every model.

## Why it is bad
Scores are products of query and key: where one is far larger, 16-bit formats lose the other, and softmax is saturated
or flat. A head far above the others speaks alone; one far below has died and can be pruned.

## Threshold
A factor of 10 between query, key and value, and of 10 between a band and the median band. model-clinic allows 50
between the norms. In all-MiniLM-L6-v2 the three stay within a factor of 2.2 and bands within 1.9.

## What to do
Look for a scale that a conversion folded into one of them (1/sqrt(head size)); prune dead heads; normalize queries and
keys when training anew.

## References
Michel, Levy and Neubig (2019), "Are Sixteen Heads Really Better than One?"; Henry et al. (2020), "Query-Key
Normalization for Transformers".
"""

import re
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from weightsmith.rules.finding import Finding
from weightsmith.rules.matrices import is_float, rows_of
from weightsmith.rules.rule import NotCheckedError, Rule, Subject
from weightsmith.sources import Weight

THRESHOLDS = {"ratio": 10.0, "head_ratio": 10.0}
BAND = 32
LEAST_BANDS = 4
_KINDS = {"q": "query", "query": "query", "k": "key", "key": "key", "v": "value", "value": "value"}
_NAME = re.compile(r"(?:^|(?<=[._]))(?:to_|w)?(query|key|value|q|k|v)(?:_?proj|_?lin)?(?=\.weight$|\.kernel$|$)")
_ADVICE = "Look for a scale folded in by a conversion; prune heads that have died."
_Rms = dict[str, tuple[Weight, NDArray[np.float64]]]


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield findings for each attention layer: first among query, key and value, then among the bands of each."""
    layers = _layers(rule, subject)
    if not layers:
        raise NotCheckedError("no query, key and value weights were recognized")
    for parts in layers:
        yield from _between(rule, subject, parts)
        for kind, (weight, rms) in parts.items():
            yield from _within(rule, subject, kind, weight, rms)


def _layers(rule: Rule, subject: Subject) -> list[_Rms]:
    """For each attention layer: query, key and value, each with its weight and the root mean square of every row."""
    siblings: dict[str, _Rms] = defaultdict(dict)
    for weight in subject.each(roles=["linear"], least_axes=2):
        match = _NAME.search(weight.name)
        fused = weight.info.parts == ("q", "k", "v") and weight.shape[weight.info.output_axis] % 3 == 0
        if not (match or fused) or not is_float(weight):
            continue
        statistics = rows_of(rule, subject, weight)
        if statistics is None:
            continue
        if fused:
            for part, rms in zip(weight.info.parts, np.split(statistics.neurons.rms, 3), strict=True):
                siblings[weight.name][_KINDS[part]] = (weight, rms)
        elif match:
            layer = f"{weight.name[: match.start()]}*{weight.name[match.end() :]}"
            siblings[layer][_KINDS[match[1]]] = (weight, statistics.neurons.rms)
    return [parts for parts in siblings.values() if len(parts) == 3]


def _between(rule: Rule, subject: Subject, parts: _Rms) -> Iterator[Finding]:
    limit = subject.threshold(rule, "ratio")
    sizes = {kind: float(np.sqrt(np.mean(np.square(rms)))) for kind, (_, rms) in parts.items()}
    low, high = min(sizes, key=sizes.__getitem__), max(sizes, key=sizes.__getitem__)
    if sizes[high] > limit * sizes[low]:
        factor = f"{sizes[high] / sizes[low]:.3g} times" if sizes[low] else "beside"
        yield rule.finding(
            f"The root mean square of the {high} weights is {sizes[high]:.3g}, {factor} that of the {low} weights "
            f"({sizes[low]:.3g}).",
            _ADVICE,
            {
                "largest": sizes[high],
                "largest_part": high,
                "smallest": sizes[low],
                "smallest_part": low,
                "threshold": limit,
            },
            weight=parts[high][0].name,
        )


def _within(rule: Rule, subject: Subject, kind: str, weight: Weight, rms: NDArray[np.float64]) -> Iterator[Finding]:
    limit = subject.threshold(rule, "head_ratio")
    if len(rms) % BAND or len(rms) < LEAST_BANDS * BAND:
        return
    bands = np.sqrt(np.square(rms).reshape(-1, BAND).mean(axis=1))
    median = float(np.median(bands))
    for band in np.flatnonzero((bands > limit * median) | (bands * limit < median)):
        size = float(bands[band])
        compared = f"{size / median:.3g} times" if size > median else f"{size / median:.2g} of" if median else "beside"
        yield rule.finding(
            f"The {kind} rows {band * BAND} to {(band + 1) * BAND - 1}, which lie in one head, have a root mean "
            "square of "
            f"{size:.3g}, {compared} the median of {median:.3g} over {len(bands)} such bands.",
            _ADVICE,
            {"rms": size, "median": median, "first_row": int(band) * BAND, "threshold": limit},
            weight=weight.name,
        )
