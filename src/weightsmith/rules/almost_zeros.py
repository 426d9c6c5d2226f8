"""A mask that left almost-zeros in place of zeros.

## What it does
Looks for two separate groups in the nonzero magnitudes of a weight matrix: one below a ten-thousandth of the 90th
percentile, holding at least 1 % of the values, and the ordinary one, with a gap between that holds fewer values per
octave than the small group.

## Why it is bad
The small values do nothing, but they are no zeros: sparse formats store them, sparsity counts miss them and speed-ups
do not come. They remain when pruned weights are trained on with weight decay, when a mask is applied as a soft one, or
when a pruned model is averaged with another.

## Threshold
1 % below 1e-4 of the 99th percentile, where Gaussian values have about 2 in 10,000; and fewer than a fifth as many
between 1e-4 and 1e-3 of it, where any smooth distribution has nine times as many. Of the released models that this was
calibrated on one is reported, for channels that weight decay shrank to nothing: a true finding.

## What to do
Set values below a ten-thousandth of the 99th percentile to zero: the outputs do not change.

## References
Zhu and Gupta (2018), "To prune, or not to prune: exploring the efficacy of pruning for model compression".
"""

from collections.abc import Iterator

from weightsmith.rules.finding import Finding
from weightsmith.rules.matrices import float_weights, magnitude_quantile
from weightsmith.rules.rule import Rule, Subject

THRESHOLDS = {"share": 0.01, "gap": 0.2}
LEAST_SIZE = 256
SMALL = 1e-4
GAP = 1e-3


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each matrix with a separate group of tiny values."""
    least, most_between = subject.threshold(rule, "share"), subject.threshold(rule, "gap")
    for weight in float_weights(rule, subject, least_size=LEAST_SIZE):
        sketch = subject.sketch(weight)
        nonzero = sketch.finite - sketch.zeros
        if nonzero < LEAST_SIZE:
            continue
        # The small group may be the larger one, so the scale is that of the largest hundredth.
        usual = magnitude_quantile(sketch, 0.99)
        above_small = sketch.tail(SMALL * usual) * sketch.finite
        above_gap = sketch.tail(GAP * usual) * sketch.finite
        tiny, between = nonzero - above_small, above_small - above_gap
        if tiny > least * nonzero and between < most_between * tiny and above_gap > least * nonzero:
            yield rule.finding(
                f"{tiny:.0f} of its {nonzero} nonzero values ({tiny / nonzero:.1%}) are below {SMALL * usual:.2g}, "
                "and only "
                f"{between:.0f} lie between that and {GAP * usual:.2g}: they do nothing but are not zero.",
                f"Set values below {SMALL * usual:.2g} to zero; no output changes.",
                {
                    "tiny": tiny,
                    "between": between,
                    "nonzero": nonzero,
                    "share_threshold": least,
                    "gap_threshold": most_between,
                },
                weight=weight.name,
            )
