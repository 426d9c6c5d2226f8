"""How weights become binary: the options of the kind, checked."""

from dataclasses import dataclass
from typing import Literal, get_args

from weightsmith.names import choose

Alphabet = Literal["signs", "bits"]
Scale = Literal["none", "tensor", "channel"]
Ends = Literal["continuous", "binary"]


@dataclass(frozen=True)
class Binarization:
    """How weights become binary.

    Attributes:
        alphabet: `signs` for {-1, +1}, `bits` for {0, 1}.
        scale: `none`, or a factor per `tensor` or output `channel`.
        first_and_last: kind of the model's first and last matrix, `continuous` or `binary`.
    """

    alphabet: Alphabet = "signs"
    scale: Scale = "none"
    first_and_last: Ends = "continuous"

    def __post_init__(self) -> None:
        choose(self.alphabet, get_args(Alphabet), "alphabet")
        choose(self.scale, get_args(Scale), "scale")
        choose(self.first_and_last, get_args(Ends), "first_and_last")

    def __str__(self) -> str:
        values = "-1 and +1" if self.alphabet == "signs" else "0 and 1"
        return values if self.scale == "none" else f"{values} times a scale per {self.scale}"
