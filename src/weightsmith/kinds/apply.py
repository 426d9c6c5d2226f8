"""Give weights a kind: by name through `apply`, or by the shorthands `continuous`, `binary` and `sparse`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any

from torch import nn
from torch.nn.utils import parametrize

from weightsmith.errors import InputError
from weightsmith.kinds.binary import Alphabet, Binarization, Binary, Ends, Scale, clamp_latent
from weightsmith.kinds.continuous import Projection
from weightsmith.kinds.controller import Assignment, KindController
from weightsmith.kinds.selection import keep_ends, matrices, plain, require, select
from weightsmith.kinds.site import Site
from weightsmith.kinds.sparse import Mask, Schedule, Scope, follow_schedule
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


def continuous(
    model: nn.Module,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    non_negative: bool = False,
    unit_norm: bool = False,
    include: Patterns = "*",
    exclude: Patterns = (),
) -> KindController:
    """Keep weights continuous, within bounds where some are given.

    The bounds hold from now on and after every `step`, by projection; the model's parameters and their names stay what
    they were. Weights that a parametrization computes (spectral norm, ...) cannot be projected and are left.

    Args:
        model: any module.
        minimum: lower bound of each value.
        maximum: upper bound of each value.
        non_negative: no value below 0.
        unit_norm: the weights of each output have length 1.
        include: as for `apply`.
        exclude: as for `apply`.

    Raises:
        InputError: bounds that contradict each other.
    """
    projection = Projection(minimum, maximum, non_negative, unit_norm)
    sites, left = plain(*select(model, include, exclude))

    def project(sites: Sequence[Site], progress: float) -> None:
        for site in sites:
            projection.project_(site.stored, site)

    return _controller(model, "continuous", sites, left, str(projection), project)


def binary(
    model: nn.Module,
    *,
    alphabet: Alphabet = "signs",
    scale: Scale = "none",
    first_and_last: Ends = "continuous",
    include: Patterns = "*",
    exclude: Patterns = (),
) -> KindController:
    """Make weights binary: two values forward, a latent continuous weight that learns.

    Args:
        model: any module.
        alphabet: `signs` for {-1, +1}, `bits` for {0, 1}.
        scale: `none`, or a factor per `tensor` or output `channel` (Rastegari et al. 2016).
        first_and_last: the model's first and last matrix lose most accuracy for least size and stay `continuous`,
            unless a pattern other than `*` includes them or this says `binary`.
        include: as for `apply`.
        exclude: as for `apply`.

    Raises:
        InputError: nothing left to be binary, an unknown alphabet or scale, a weight already of a kind.
    """
    settings = Binarization(alphabet, scale, first_and_last)
    sites, left = select(model, include, exclude)
    if first_and_last == "continuous":
        sites, left = keep_ends(model, sites, left, include)
    require(sites, "binary; the first and last matrix stay continuous unless first_and_last='binary'", left)
    for site in sites:
        parametrize.register_parametrization(site.owner, site.attribute, Binary(alphabet, scale, site.groups))

    def clamp(sites: Sequence[Site], progress: float) -> None:
        for site in sites:
            clamp_latent(site.stored)

    return _controller(model, "binary", sites, left, str(settings), clamp)


def sparse(
    model: nn.Module,
    sparsity: float,
    *,
    scope: Scope = "global",
    start: float = 0.1,
    end: float = 0.75,
    include: Patterns = "*",
    exclude: Patterns = (),
) -> KindController:
    """Make weights sparse by magnitude, gradually along a cubic (Zhu & Gupta 2017, "To prune, or not to prune").

    What is masked is exactly 0 and stays 0, whatever momentum or decay does. With `start=0, end=0` the weights are
    pruned at once.

    Args:
        model: any module.
        sparsity: final share of zeros over the selected weights, from 0 up to but not including 1.
        scope: `global` prunes the smallest of all selected weights together, `layer` the same share of each.
        start: share of training at which pruning starts.
        end: share of training from which on the sparsity is full; the rest is for recovery.
        include: as for `apply`.
        exclude: as for `apply`.

    Raises:
        InputError: a share out of range, nothing selected, a weight already of a kind or on the meta device.
    """
    schedule = Schedule(sparsity, start, end, scope)
    sites, left = select(model, include, exclude)
    require(sites, "sparse", left)
    for site in sites:
        if site.stored.is_meta:
            raise InputError(f"'{site.name}' is on the meta device and has no magnitudes: materialize the model first")
    for site in sites:
        parametrize.register_parametrization(site.owner, site.attribute, Mask(site.stored))

    def mask(sites: Sequence[Site], progress: float) -> None:
        follow_schedule(sites, schedule, progress)

    return _controller(model, "sparse", sites, left, str(schedule), mask)


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


def _controller(
    model: nn.Module,
    kind: str,
    sites: list[Site],
    left: dict[str, str],
    values: str,
    after_step: Callable[[Sequence[Site], float], None],
) -> KindController:
    chosen = {site.name for site in sites}
    assignments = [
        Assignment(info.name, kind, values)
        if info.name in chosen
        else Assignment(info.name, "continuous", left[info.name])
        for info in matrices(model)
        if info.name in chosen or info.name in left
    ]
    controller = KindController(kind, assignments, sites, after_step)
    controller.step(0.0)
    return controller
