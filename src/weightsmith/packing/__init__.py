"""Packed weights: bits, masks and columns in place of floats. Plain NumPy; docs/packing.md has the layout.

`encode` and `decode` go between values and parts, `to_tensors` and `from_tensors` between parts and the tensors of a
safetensors file; `weightsmith.sources` reads and writes the file itself (`read_packed`, `write_packed`).
"""

from weightsmith.packing.check import check_encoded
from weightsmith.packing.decode import blocks, decode
from weightsmith.packing.encode import encode
from weightsmith.packing.encoded import (
    FORMATS,
    SPARSE,
    Alphabet,
    Array,
    Encoded,
    Floats,
    Format,
    Layout,
    Values,
    matrix_shape,
)
from weightsmith.packing.names import METADATA, VERSION, from_tensors, to_tensors
from weightsmith.packing.sizes import Candidate
from weightsmith.packing.smallest import Smallest, smallest

__all__ = [
    "FORMATS",
    "METADATA",
    "SPARSE",
    "VERSION",
    "Alphabet",
    "Array",
    "Candidate",
    "Encoded",
    "Floats",
    "Format",
    "Layout",
    "Smallest",
    "Values",
    "blocks",
    "check_encoded",
    "decode",
    "encode",
    "from_tensors",
    "matrix_shape",
    "smallest",
    "to_tensors",
]
