"""Two or three values per row, stored as floats.

## What it does
Reports weight matrices of 4096 values or more, stored in 16 bits or more, each of whose rows holds one magnitude: -s
and s, 0 and s, or -s, 0 and s, with an s of its own or one for all.

## Why it is bad
It is no fault of the weights but of the file. One bit holds a binary value and two hold a ternary one: as float32 the
file is 32 or 16 times as large as it need be, and a layer of bits is faster where memory is what it waits for.

## Threshold
Every value of every row. Rows with fewer than eight values other than zero, on average, do not count: of so few, any
sparse row could look like that.

## What to do
Pack it: `weightsmith pack model.safetensors`, or `weightsmith.kinds.pack(model)` for a live model.

## References
Rastegari et al. (2016), "XNOR-Net: ImageNet Classification Using Binary Convolutional Neural Networks", on one scale
for each channel.
"""

from collections.abc import Iterator

from weightsmith.rules.discrete import signs_of
from weightsmith.rules.few_distinct_values import BITS
from weightsmith.rules.finding import Finding
from weightsmith.rules.matrices import float_weights
from weightsmith.rules.rule import Rule, Subject

LEAST_SIZE = 4096


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each binary or ternary matrix in floats."""
    for weight in float_weights(rule, subject, least_size=LEAST_SIZE):
        signs = signs_of(rule, subject, weight) if weight.dtype in BITS else None
        if signs is not None:
            packed = weight.size * signs.bits // 8 + 4 * signs.scales
            yield rule.finding(
                f"Its rows hold {'two values' if signs.bits == 1 else 'three values'} each, in {weight.nbytes} bytes; "
                f"packed it is {packed}, 1/{weight.nbytes / packed:.0f} of that.",
                "Pack it with weightsmith pack.",
                {"times_too_large": weight.nbytes / packed, "bytes": weight.nbytes, "packed_bytes": packed},
                weight=weight.name,
            )
