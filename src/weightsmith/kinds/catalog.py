"""All kinds by name, and `apply`, which gives weights one of them."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

from torch import nn

from weightsmith.errors import InputError
from weightsmith.kinds.binary import Binarization, binary
from weightsmith.kinds.continuous import Projection, continuous
from weightsmith.kinds.controller import KindController
from weightsmith.kinds.sparse import Schedule, sparse
from weightsmith.names import Patterns, choose


@dataclass(frozen=True)
class Kind:
    """One kind of weights.

    Attributes:
        name: its name in recipes.
        function: gives a model's weights this kind.
        settings: the dataclass of the kind's options, which refuses what does not fit.
        description: one line.
        papers: authors and years.
    """

    name: str
    function: Callable[..., KindController]
    settings: type[Projection] | type[Binarization] | type[Schedule]
    description: str
    papers: tuple[str, ...] = ()

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the options it takes, beside `include` and `exclude`."""
        return tuple(option.name for option in fields(self.settings))

    @property
    def defaults(self) -> dict[str, Any]:
        """Value of each option that may be left out."""
        return {option.name: option.default for option in fields(self.settings) if option.default is not MISSING}

    def check(self, options: Mapping[str, Any]) -> None:
        """Refuse options that the kind cannot use, without a model.

        Raises:
            InputError: an unknown option, a missing one, or a value that does not fit.
        """
        for option in options:
            choose(option, self.options, f"option of kind '{self.name}'")
        for option in self.options:
            if option not in options and option not in self.defaults:
                raise InputError(f"kind '{self.name}' needs the option '{option}'")
        self.settings(**options)


def apply(
    model: nn.Module, kind: str, include: Patterns = "*", exclude: Patterns = (), **options: Any
) -> KindController:
    """Give a model's weights a kind, in place.

    Args:
        model: any module; wrappers are looked through. Apply kinds before compiling, and before or after the optimizer
            is made: its parameters stay the same objects.
        kind: a name from `KINDS`.
        include: shell patterns over weight names. `*` means every matrix but embeddings; a pattern that names an
            embedding includes it.
        exclude: patterns of weights to leave continuous.
        options: the kind's own, as its function documents them.

    Returns:
        A controller whose `step` belongs after every `optimizer.step()`.

    Raises:
        InputError: an unknown kind or option, a pattern or an option that selects nothing, a weight already of a kind.
    """
    chosen = KINDS[choose(kind, KINDS, "kind")]
    chosen.check(options)
    return chosen.function(model, include=include, exclude=exclude, **options)


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("continuous", continuous, Projection, "any value, or any within bounds"),
        Kind(
            "binary",
            binary,
            Binarization,
            "two values, learned through a latent continuous weight",
            ("Courbariaux et al. 2015", "Hubara et al. 2016", "Rastegari et al. 2016"),
        ),
        Kind(
            "sparse",
            sparse,
            Schedule,
            "mostly exact zeros, the smallest weights pruned gradually",
            ("Zhu & Gupta 2017",),
        ),
    )
}
