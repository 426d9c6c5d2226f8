"""Where weights come from: one file per format, and a live module. All give the same `Source`; none loads torch."""

from weightsmith.names import printable
from weightsmith.sources.file import File, FileLike, LocalFile, Stream, as_file, inside
from weightsmith.sources.module import as_numpy, describe, open_module, unwrap
from weightsmith.sources.open import open
from weightsmith.sources.packed import open_packed, read_packed, write_packed
from weightsmith.sources.packed_source import PackedEntry, pack_source
from weightsmith.sources.roles import infer_role
from weightsmith.sources.safetensors import open_safetensors, write_safetensors
from weightsmith.sources.source import BLOCK, Aside, Place, Source, Weight, read_range

__all__ = [
    "BLOCK",
    "Aside",
    "File",
    "FileLike",
    "LocalFile",
    "PackedEntry",
    "Place",
    "Source",
    "Stream",
    "Weight",
    "as_file",
    "as_numpy",
    "describe",
    "infer_role",
    "inside",
    "open",
    "open_module",
    "open_packed",
    "open_safetensors",
    "pack_source",
    "printable",
    "read_packed",
    "read_range",
    "unwrap",
    "write_packed",
    "write_safetensors",
]
