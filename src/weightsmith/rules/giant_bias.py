"""A bias far beyond all others of its model.

## What it does
Reports a bias vector whose largest magnitude is above 100 and above 50 times the median of those of all bias vectors
(at least 5), leaving out biases of queries, keys and values.

## Why it is bad
Adding such a number to activations of ordinary size rounds them to a few bits in 16-bit formats, and a rectifier or
sigmoid behind it is stuck.

## Threshold
100 and 50 times the median. Key biases with a root mean square above 30 occur in healthy language models, where softmax
cancels them: model-clinic allows 40. The models that this was calibrated on stay below 20. For information.

## What to do
See whether the data was normalized; move what is constant into the data's own normalization.

## References
Yang et al. (2024), "Qwen2 Technical Report", on biases of queries, keys and values; Micikevicius et al. (2018), "Mixed
Precision Training".
"""

import re
from collections.abc import Iterator

import numpy as np

from weightsmith.rules.finding import Finding
from weightsmith.rules.matrices import float_weights, largest
from weightsmith.rules.rule import NotCheckedError, Rule, Subject

THRESHOLDS = {"largest": 100.0, "ratio": 50.0}
LEAST_PEERS = 5
_ATTENTION = re.compile(r"(^|[._])(q|k|v|qkv|query|key|value|query_key_value|in|c_attn)(_?proj|_?lin)?[._]bias$")


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each bias far beyond the others."""
    least, ratio = subject.threshold(rule, "largest"), subject.threshold(rule, "ratio")
    biases = float_weights(rule, subject, roles=["bias"], least_axes=1)
    if len(biases) < LEAST_PEERS:
        raise NotCheckedError(f"there are fewer than {LEAST_PEERS} biases to compare")
    tops = {bias.name: largest(subject.sketch(bias)) for bias in biases}
    median = float(np.median(list(tops.values())))
    for name, top in tops.items():
        if top > least and top > ratio * median and not _ATTENTION.search(name):
            beside = f"{top / median:.0f} times" if median else "beside"
            yield rule.finding(
                f"Its largest magnitude is {top:.4g}, {beside} the median of {median:.3g} over {len(biases)} biases.",
                "See whether the data was normalized, and move what is constant there.",
                {"largest": top, "median": median, "largest_threshold": least, "ratio_threshold": ratio},
                weight=name,
            )
