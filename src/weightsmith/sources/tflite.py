"""TensorFlow Lite models: every constant tensor is a weight, read by range from where its buffer lies.

The structure is read through the `tflite` package's accessors, which need the file as one piece: it is mapped where it
is large, and let go once the tensors' places are known.

Names are the file's own. Where a file has several subgraphs, which may use the same names, each name gets that of its
subgraph in front (`main/dense/kernel`); a tensor without a name is called `tensor_12` after its index, and one whose
name was given before gets `#2` behind it. Tensors of the same type and shape that share one buffer are tied.

Quantized tensors are handed out as the integers that are stored, with the dtype that they are stored in. How they stand
for real numbers (scale and zero point) is in the source's metadata as `quantization of NAME`.
"""

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import ml_dtypes
import numpy as np

from weightsmith.errors import SourceError
from weightsmith.names import printable
from weightsmith.sources.file import File, FileLike, as_file
from weightsmith.sources.roles import infer_role
from weightsmith.sources.source import Aside, Place, Source, Weight
from weightsmith.sources.subbyte import read_packed, width
from weightsmith.sources.tflite_graph import Subgraph, Tensor, parse_model
from weightsmith.sources.tflite_uses import Use, Uses
from weightsmith.weight import WeightInfo

_KINDS: Final = {
    0: "float32",
    1: "float16",
    2: "int32",
    3: "uint8",
    4: "int64",
    6: "bool",
    7: "int16",
    8: "complex64",
    9: "int8",
    10: "float64",
    11: "complex128",
    12: "uint64",
    15: "uint32",
    16: "uint16",
    17: "int4",
    18: "bfloat16",
}
"""TensorType."""

_UNREADABLE: Final = {5: "strings", 13: "a resource", 14: "a variant"}


def open_tflite(what: FileLike) -> Source:
    """Open a TensorFlow Lite file; its tensors are read by range, lazily.

    Raises:
        SourceError: the file is missing, truncated, malformed, or of another format; the message names the file and,
            where there is one, the tensor.
    """
    return _Opening(as_file(what)).source()


class _Opening:
    def __init__(self, file: File) -> None:
        self._file = file
        self._model = parse_model(file)
        self._aside = self._model.aside
        self._given: Counter[str] = Counter()
        self._first: dict[tuple[int, str, tuple[int, ...]], str] = {}

    def source(self) -> Source:
        weights = [weight for subgraph in self._model.subgraphs for weight in self._weights(subgraph)]
        return Source(
            self._file.label,
            weights,
            self._model.metadata,
            file_format="tflite",
            aside=self._aside,
            files=[self._file],
        )

    def _weights(self, subgraph: Subgraph) -> Iterator[Weight]:
        uses = Uses(subgraph)
        for index, tensor in enumerate(subgraph.tensors):
            if not tensor.nbytes:
                continue
            name = self._unique(subgraph, tensor.name or f"tensor_{index}")
            if tensor.kind not in _KINDS or tensor.sparse:
                reason = "sparse values" if tensor.sparse else _UNREADABLE.get(tensor.kind, f"type {tensor.kind}")
                self._aside.append(Aside(name, f"{reason}, which cannot be read", tensor.nbytes))
                continue
            if tensor.quantization:
                self._model.metadata[f"quantization of {name}"] = tensor.quantization
            yield self._weight(name, tensor, uses.of(index))

    def _unique(self, subgraph: Subgraph, name: str) -> str:
        full = f"{subgraph.name}/{name}" if len(self._model.subgraphs) > 1 else name
        self._given[full] += 1
        while self._given[full] > 1:
            full = f"{full}#{self._given[full]}"
            self._given[full] += 1
        return full

    def _weight(self, name: str, tensor: Tensor, use: Use | None) -> Weight:
        kind = _KINDS[tensor.kind]
        dtype: np.dtype[Any] = np.dtype(getattr(ml_dtypes, kind, kind))
        if min(tensor.shape, default=0) < 0:
            raise self._fault(name, f"has the negative dimension {min(tensor.shape)}: damaged")
        needed = -(-math.prod(tensor.shape) * width(dtype) // 8)
        if needed != tensor.nbytes:
            raise self._fault(
                name,
                f"of shape {list(tensor.shape)} and type {kind} needs {needed} bytes, but its buffer has "
                f"{tensor.nbytes}: damaged",
            )
        first = self._first.setdefault((tensor.start, kind, tensor.shape), name)
        info = _info(name, tensor.shape, kind, use, None if first == name else first)
        if width(dtype) < 8:
            return Weight(info, needed, _blocks=lambda: read_packed(self._file, tensor.start, info.size, dtype))
        return Weight(info, needed, place=Place(self._file, tensor.start, dtype.newbyteorder("<")))

    def _fault(self, name: str, problem: str) -> SourceError:
        return SourceError(f"{printable(self._file.label)}: '{printable(name[:200])}' {problem}")


def _info(name: str, shape: tuple[int, ...], kind: str, use: Use | None, tied_to: str | None) -> WeightInfo:
    if use is None:
        return WeightInfo(name, shape, kind, infer_role(name, shape), tied_to=tied_to)
    role = "other" if kind in ("int64", "bool") else use.role
    return WeightInfo(name, shape, kind, role, use.layer, use.activation, tied_to, use.output_axis)
