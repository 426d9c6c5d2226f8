"""What is known about a weight without reading its values: its name, shape, type, role and place in the model."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, Self, get_args

Role = Literal["linear", "conv", "embedding", "recurrent", "norm", "bias", "other"]
ROLES: tuple[Role, ...] = get_args(Role)

MATRIX_ROLES: frozenset[Role] = frozenset({"linear", "conv", "embedding", "recurrent"})
"""Roles whose weights multiply an input; decay, L1 and initialization schemes act on these alone by default."""


@dataclass(frozen=True)
class WeightInfo:
    """One named parameter tensor, described.

    Attributes:
        name: dotted path in the model, as `named_parameters` or the file gives it.
        shape: its dimensions; `()` for a scalar.
        dtype: NumPy-style name: `float32`, `bfloat16`, `float8_e4m3fn`, `int8`, ...
        role: what it does in its layer.
        layer: class name of the module that owns it (`Linear`), or None where only a file is known.
        activation: name of the activation that follows its layer (`relu`, `tanh`, ...), `linear` where none does,
            or None where that is not known.
        tied_to: name of an earlier weight that shares its storage, or None.
        output_axis: the axis that counts its neurons or filters: 0 in PyTorch, the last one in Keras.
        parts: what is stacked along that axis in equal shares, such as `("q", "k", "v")` or `("i", "f", "g", "o")`;
            empty where it is one thing.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    role: Role
    layer: str | None = None
    activation: str | None = None
    tied_to: str | None = None
    output_axis: int = 0
    parts: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Number of elements; 1 for a scalar."""
        count = 1
        for length in self.shape:
            count *= length
        return count

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain JSON values that `from_json` turns back into an equal record."""
        return {**asdict(self), "shape": list(self.shape), "parts": list(self.parts)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The record that `to_json` described."""
        return cls(**{**data, "shape": tuple(data["shape"]), "parts": tuple(data.get("parts", ()))})
