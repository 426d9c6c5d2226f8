"""What is decided for one weight, and why."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Decision:
    """How one weight starts.

    Attributes:
        weight: its name, as `named_parameters` gives it (a parametrized weight's plain name).
        scheme: a name from `SCHEMES`; `left` where the weight keeps its values, `tied` where an earlier one sets them.
        gain: factor that makes up for the activation; None where the scheme has none.
        std: standard deviation of the draw; None where the scheme has none of its own.
        reason: one line.
    """

    weight: str
    scheme: str
    gain: float | None
    std: float | None
    reason: str

    def __str__(self) -> str:
        numbers = [f"std {self.std:.4g}"] if self.std else []
        numbers += [f"gain {self.gain:.4g}"] if self.gain is not None else []
        spread = f" ({', '.join(numbers)})" if numbers else ""
        return f"{self.weight}: {self.scheme}{spread}, {self.reason}"


class Decisions(list[Decision]):
    """A list of decisions that prints one a line."""

    def __str__(self) -> str:
        return "\n".join(map(str, self))

    __repr__ = __str__
