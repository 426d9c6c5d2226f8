"""What became of each weight when a model was packed, and why."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Choice:
    """What became of one weight.

    Attributes:
        weight: its name.
        form: `binary`, `ternary`, `sparse`, `xnor` (binary, with binary activations), or `dense`.
        reason: one line.
        seconds: what one call took on this machine, by `dense float32`, `dense bfloat16` and the candidates' names;
            empty where nothing was measured.
        nbytes: of the weight in memory.
    """

    weight: str
    form: str
    reason: str
    seconds: Mapping[str, float] = field(default_factory=dict)
    nbytes: int = 0

    @property
    def speedup(self) -> float | None:
        """How many times faster than dense float32 it runs; None where nothing was measured."""
        took, dense = self.seconds.get(self.form), self.seconds.get("dense float32")
        return dense / took if took and dense else None

    def __str__(self) -> str:
        return f"{self.weight}: {self.form}, {self.reason}"


@dataclass(frozen=True)
class Choices:
    """What became of a model: one choice for each of its matrices, and what was folded.

    Attributes:
        choices: in the model's order.
        notes: one line for each thing that happened beside: batch norms folded, activations handed over as bits.
    """

    choices: tuple[Choice, ...]
    notes: tuple[str, ...] = ()

    def describe(self) -> list[str]:
        """One line for each matrix and each note."""
        return [str(choice) for choice in self.choices] + list(self.notes)

    def __str__(self) -> str:
        return "\n".join(self.describe())
