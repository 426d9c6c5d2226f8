"""Where weights come from: one file per format, and a live module. All give the same `Source`; none loads torch."""

from weightsmith.names import printable
from weightsmith.sources.module import as_numpy, describe, open_module, unwrap
from weightsmith.sources.open import open
from weightsmith.sources.roles import infer_role
from weightsmith.sources.safetensors import open_safetensors, write_safetensors
from weightsmith.sources.source import Source, Weight

__all__ = [
    "Source",
    "Weight",
    "as_numpy",
    "describe",
    "infer_role",
    "open",
    "open_module",
    "open_safetensors",
    "printable",
    "unwrap",
    "write_safetensors",
]
