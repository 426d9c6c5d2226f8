"""All kinds by name, and `apply`, which gives weights one of them."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any, get_type_hints

from torch import nn

from weightsmith.errors import InputError
from weightsmith.kinds.binary import Binarization, binary
from weightsmith.kinds.continuous import Projection, continuous
from weightsmith.kinds.controller import KindController
from weightsmith.kinds.sparse import METHODS, Method, Sparsifier, sparse
from weightsmith.kinds.ternary import Ternarization, ternary
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
        methods: ways to the kind that have options of their own, chosen by the option `method`; `settings` are those of
            one of them.
    """

    name: str
    function: Callable[..., KindController]
    settings: type[Projection] | type[Binarization] | type[Ternarization] | type[Sparsifier]
    description: str
    papers: tuple[str, ...] = ()
    methods: Mapping[str, Method] = field(default_factory=dict)

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the options it takes, beside `include` and `exclude`."""
        return tuple(self.types)

    @property
    def types(self) -> dict[str, Any]:
        """Type of each option."""
        hints = get_type_hints(self.settings)
        own = {option.name: hints[option.name] for option in fields(self.settings)}  # type: ignore[arg-type]
        return {"method": str, **own} if self.methods else own

    @property
    def defaults(self) -> dict[str, Any]:
        """Value of each option that may be left out."""
        every = fields(self.settings)  # type: ignore[arg-type]
        own = {option.name: option.default for option in every if option.default is not MISSING}
        method = [name for name, method in self.methods.items() if method.settings is self.settings]
        return {"method": method[0], **own} if self.methods else own

    def of_method(self, options: Mapping[str, Any]) -> "Kind":
        """The kind with the options of the method that they name; itself where there is but one way.

        Raises:
            InputError: an unknown method.
        """
        if not self.methods or options.get("method") is None:
            return self
        chosen = self.methods[choose(options["method"], self.methods, f"{self.name} method")]
        return replace(self, settings=chosen.settings)

    def check(self, options: Mapping[str, Any]) -> None:
        """Refuse options that the kind cannot use, without a model.

        Raises:
            InputError: an unknown option, a missing one, or a value that does not fit.
        """
        kind = self.of_method(options)
        what = f"kind '{self.name}'" + (f", method '{kind.defaults['method']}'" if self.methods else "")
        for option in options:
            choose(option, kind.options, f"option of {what}")
        for option in kind.options:
            if option not in options and option not in kind.defaults:
                raise InputError(f"{what} needs the option '{option}'")
        kind.settings(**{name: value for name, value in options.items() if name != "method"})


def apply(
    model: nn.Module,
    kind: str,
    include: Patterns = "*",
    exclude: Patterns = (),
    *,
    data: Mapping[str, Any] | None = None,
    **options: Any,
) -> KindController:
    """Give a model's weights a kind, in place.

    Args:
        model: any module; wrappers are looked through. Apply kinds before compiling, and before the
            optimizer is made: some kinds bring parameters of their own, the others stay the same objects.
        kind: a name from `KINDS`.
        include: shell patterns over weight names. `*` means every matrix but embeddings; a pattern that names an
            embedding includes it.
        exclude: patterns of weights to leave continuous.
        data: what a method looks at before training, by the name of its argument: `samples` or `loss` of `sparse`.
        options: the kind's own, as its function documents them.

    Returns:
        A controller whose `step` belongs after every `optimizer.step()`.

    Raises:
        InputError: an unknown kind or option, a pattern or an option that selects nothing, a weight already of a kind.
    """
    chosen = KINDS[choose(kind, KINDS, "kind")]
    chosen.check(options)
    return chosen.function(model, include=include, exclude=exclude, **(data or {}), **options)


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("continuous", continuous, Projection, "any value, or any within bounds"),
        Kind(
            "binary",
            binary,
            Binarization,
            "two values, learned through a latent continuous weight or flipped",
            (
                "Courbariaux et al. 2015",
                "Hubara et al. 2016",
                "Rastegari et al. 2016",
                "Liu et al. 2018",
                "Darabi et al. 2018",
                "Yin et al. 2018",
                "Helwegen et al. 2019",
                "Wu et al. 2023",
            ),
        ),
        Kind(
            "ternary",
            ternary,
            Ternarization,
            "a common size with either sign, or 0, learned through a latent continuous weight",
            ("Li & Liu 2016",),
        ),
        Kind(
            "sparse",
            sparse,
            METHODS["magnitude"].settings,
            "mostly exact zeros, by one of many methods",
            tuple(method.paper for method in METHODS.values()),
            METHODS,
        ),
    )
}
