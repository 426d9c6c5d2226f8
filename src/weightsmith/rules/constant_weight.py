"""A weight matrix all of whose values are the same.

## What it does
Reports linear, convolutional, recurrent and embedding weights of 4 values or more, in two rows or more, that all equal
one number other than zero. Zeros are reported as a dead layer.

## Why it is bad
All units compute the same and get the same gradient: the layer has the width of a single unit and cannot leave that
state. It was filled with a constant, or its values were lost.

## Threshold
All values equal to the last bit.

## What to do
Draw the layer at random and train it; where an average is meant (a fixed blur or pooling), keep it out of the
parameters.

## References
Goodfellow, Bengio and Courville (2016), "Deep Learning", section 8.4, on breaking symmetry.
"""

from collections.abc import Iterator

from weightsmith.rules.finding import Finding
from weightsmith.rules.matrices import float_weights, is_constant
from weightsmith.rules.rule import Rule, Subject

LEAST_SIZE = 4


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each matrix of one value."""
    for weight in float_weights(rule, subject, least_size=LEAST_SIZE):
        sketch = subject.sketch(weight)
        rows = weight.shape[weight.info.output_axis]
        if rows > 1 and is_constant(sketch) and sketch.minimum != 0:
            yield rule.finding(
                f"All {weight.size} values equal {sketch.minimum:.6g}, so its {rows} units are one and the same.",
                "Draw the layer at random, or keep a fixed average out of the parameters.",
                {"value": sketch.minimum, "values": weight.size, "rows": rows},
                weight=weight.name,
            )
