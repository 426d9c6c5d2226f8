"""Which weights of a model can be packed, as what, and why the others cannot."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn.utils import parametrize

from weightsmith.errors import InputError
from weightsmith.kinds.bake import bake_own
from weightsmith.kinds.packed.binary_conv2d import BinaryConv2d
from weightsmith.kinds.packed.binary_linear import BinaryLinear
from weightsmith.kinds.packed.layer import Layer
from weightsmith.kinds.packed.sparse_conv2d import SparseConv2d
from weightsmith.kinds.packed.sparse_linear import SparseLinear
from weightsmith.kinds.packed.ternary_linear import TernaryLinear
from weightsmith.kinds.selection import matrices
from weightsmith.names import Patterns, matches
from weightsmith.packing import SPARSE, Encoded, Floats, Format, encode, smallest
from weightsmith.sources.module import as_numpy, unwrap
from weightsmith.weight import WeightInfo

LAYERS: dict[type[nn.Module], dict[str, type[Layer]]] = {
    nn.Linear: {"binary": BinaryLinear, "ternary": TernaryLinear, "sparse": SparseLinear},
    nn.Conv2d: {"binary": BinaryConv2d, "sparse": SparseConv2d},
}
"""The packed layers that can stand for a layer of torch's, by the name of their form."""


def stands_as(module: nn.Module) -> type[nn.Module]:
    """The class of torch's that a packed layer has to match: that whose result a subclass keeps, else its own.

    A subclass keeps it with torch's own `forward`, or where its attribute `computes` says so.
    """
    own = parametrize.type_before_parametrizations(module)
    for base in LAYERS:
        methods = [name for name in ("forward", "_conv_forward") if hasattr(base, name)]
        kept = all(getattr(own, name, None) is getattr(base, name) for name in methods)
        if issubclass(own, base) and (kept or getattr(own, "computes", None) is base):
            return base
    return own


_FORMATS: dict[str, frozenset[Format]] = {
    "binary": frozenset({"binary"}),
    "ternary": frozenset({"ternary"}),
    "sparse": SPARSE,
}
_ZEROS = 0.3
"""Share of zeros from which on a weight is worth a try as sparse."""


@dataclass
class Candidate:
    """A weight of the model to be packed.

    Attributes:
        info: what is known about it.
        path: of its module, the first one where several names lead there.
        owner: the module.
        forms: as what it could be packed, by the name of the form.
        reason: why it cannot; empty where it can.
    """

    info: WeightInfo
    path: str
    owner: nn.Module
    forms: dict[str, Encoded] = field(default_factory=dict)
    reason: str = ""


def candidates(model: nn.Module, keep: Patterns, values: Floats) -> list[Candidate]:
    """One for each matrix of a model, in its order; our own parametrizations are baked into the weights.

    Args:
        model: to be packed, in place.
        keep: patterns of weights to leave dense.
        values: the type of what is not zero in sparse weights.
    """
    whole = _read_whole(model)
    found = [Candidate(info, *_owner(model, info.name)) for info in matrices(model)]
    for candidate in found:
        bake_own(candidate.owner)
        candidate.reason = _reason(candidate, keep, whole)
    _leave_tied(found)
    for candidate in found:
        if not candidate.reason:
            candidate.forms = _forms(candidate.owner, values)
            if not candidate.forms:
                candidate.reason = "its values are not binary, ternary or mostly zeros"
    return found


def _owner(model: nn.Module, name: str) -> tuple[str, nn.Module]:
    path = name.rpartition(".")[0]
    owner = model
    for part in filter(None, path.split(".")):
        owner = unwrap(owner.get_submodule(part))
    return path, owner


def _attribute(candidate: Candidate) -> str:
    return candidate.info.name.rpartition(".")[2]


def _reason(candidate: Candidate, keep: Patterns, whole: dict[int, str]) -> str:
    """Why a weight cannot be packed, whatever its values."""
    owner, info = candidate.owner, candidate.info
    layer = stands_as(owner)
    reasons = {
        "kept as asked": matches(info.name, keep),
        "embeddings stay dense": info.role == "embedding",
        "recurrent layers stay dense": info.role == "recurrent",
        "another parametrization computes it": parametrize.is_parametrized(owner),
        f"{whole.get(id(owner), '')} reads its weight itself": id(owner) in whole,
        "transposed convolutions stay dense": isinstance(owner, nn.modules.conv._ConvTransposeNd),
        "only convolutions of two dimensions are packed": isinstance(owner, (nn.Conv1d, nn.Conv3d)),
        f"no packed layer stands for {layer.__name__}": layer not in LAYERS,
        "hooks compute it: make pruning or normalization permanent first": _attribute(candidate) != "weight",
        "hooks watch the layer": bool(owner._forward_hooks or owner._forward_pre_hooks or owner._backward_hooks),
        "it pads with something else than zeros": getattr(owner, "padding_mode", "zeros") != "zeros",
        "it has no elements": not info.size,
    }
    return next((text for text, holds in reasons.items() if holds), "")


def _read_whole(model: nn.Module) -> dict[int, str]:
    """Layers whose weights a module around them reads directly, and the name of its class."""
    around = (nn.MultiheadAttention, nn.TransformerEncoderLayer)
    return {
        id(child): type(module).__name__
        for module in model.modules()
        if isinstance(module, around)
        for child in module.children()
    }


def _leave_tied(found: list[Candidate]) -> None:
    """Leave a weight that some layer must keep dense to all layers that share it, unless they are one module."""
    by_name = {candidate.info.name: candidate for candidate in found}
    for candidate in (*found, *found):  # again, as a later one may leave the first
        first = by_name.get(candidate.info.tied_to or "")
        if first is None or first.owner is candidate.owner:
            continue
        apart = stands_as(first.owner) is not stands_as(candidate.owner)
        for one, other in ((candidate, first), (first, candidate)):
            if not one.reason and (other.reason or apart):
                one.reason = f"tied to {other.info.name}, which {'stays dense' if other.reason else 'is another layer'}"


def _forms(owner: nn.Module, values: Floats) -> dict[str, Encoded]:
    """As what the values of a layer can be packed, half as large or smaller."""
    weight = owner.weight
    assert isinstance(weight, torch.Tensor)
    matrix = as_numpy(weight)
    zeros = float((matrix == 0).mean())
    found: dict[str, Encoded] = {}
    for name in LAYERS[stands_as(owner)]:
        if (name == "sparse" and zeros < _ZEROS) or (name == "ternary" and "binary" in found):
            continue
        try:
            if name == "sparse":
                encoded = smallest(matrix, values=values, formats=_FORMATS[name]).encoded
            else:
                encoded = encode(matrix, name)  # type: ignore[arg-type]
        except InputError:
            continue
        if encoded.nbytes * 2 <= 4 * matrix.size:
            found[name] = encoded
    return found


def sharing(found: Iterable[Candidate]) -> Iterator[list[Candidate]]:
    """The candidates in groups that share one weight."""
    groups: dict[str, list[Candidate]] = {}
    for candidate in found:
        groups.setdefault(candidate.info.tied_to or candidate.info.name, []).append(candidate)
    yield from groups.values()
