"""`binary`: make a model's weights binary, in place."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import nn
from torch.nn.utils import parametrize

from weightsmith.kinds.binary.activation import BinaryActivation, replace_activations
from weightsmith.kinds.binary.estimators import ActivationEstimator
from weightsmith.kinds.binary.parametrization import Binary
from weightsmith.kinds.binary.settings import (
    Activations,
    Alphabet,
    Binarization,
    Bound,
    Ends,
    Scale,
    WeightEstimator,
)
from weightsmith.kinds.controller import KindController, control
from weightsmith.kinds.selection import keep_ends, require, select
from weightsmith.kinds.site import Site
from weightsmith.names import Patterns
from weightsmith.sources.module import unwrap


def binary(
    model: nn.Module,
    *,
    alphabet: Alphabet = "signs",
    scale: Scale = "none",
    first_and_last: Ends = "continuous",
    estimator: WeightEstimator = "clipped",
    latent_bound: Bound = 1.0,
    stochastic: bool = False,
    latent: bool = True,
    activations: Activations = "kept",
    activation_estimator: ActivationEstimator = "clipped",
    beta: float | None = None,
    exponent: float | None = None,
    cutoff: float | None = None,
    binary_from: float | None = None,
    seed: int | None = None,
    include: Patterns = "*",
    exclude: Patterns = (),
) -> KindController:
    """Make weights binary: two values forward, a latent continuous weight that learns.

    Args:
        model: any module. Apply a `learned` scale and binary `activations` before the optimizer is built: they come
            with parameters of their own, or take some away.
        alphabet: `signs` for {-1, +1}, `bits` for {0, 1}.
        scale: `none`, or a factor per `tensor` or output `channel` (Rastegari et al. 2016), or a `learned` one per
            output channel, which starts at the least-squares factor and neither decays nor is penalized.
        first_and_last: the model's first and last matrix lose most accuracy for least size and stay `continuous`,
            unless a pattern other than `*` includes them or this says `binary`.
        estimator: how the gradient passes to the latent weights: `identity`, `clipped`, `approx_sign`, `swish_sign`,
            `reste` (see `weightsmith.kinds.binary.estimators` for the formulas), or `proximal`: in training the weight
            moves from the latent one to the binary one and is binary from `binary_from` on (Yin et al. 2018,
            "BinaryRelax"); in evaluation it always is.
        latent_bound: latent weights are kept within plus and minus this number, in which the estimators also measure
            them; `glorot` for Glorot's coefficient, which makes weights flip more readily in wide layers; `none` for
            no limit.
        stochastic: in training draw +1 with the probability of a hard sigmoid of the latent weight, once for each step
            of the controller (Courbariaux et al. 2015); in evaluation take the likelier value. Goes well with
            `latent_bound="glorot"`, without which weights of the usual size are almost all chance.
        latent: False for no latent weights: the stored weight is -1 or +1, and the optimizer `bop` flips it
            (Helwegen et al. 2019, "Latent weights do not exist").
        activations: `kept`, or `binary` to put a `BinaryActivation` in the place of each activation module.
        activation_estimator: how the gradient passes through these.
        beta: steepness of `swish_sign`; None: 5.
        exponent: at which `reste` ends; None: 3.
        cutoff: beyond which `reste` stops the gradient; None: 1.5.
        binary_from: share of training, for `proximal`; None: 0.75.
        seed: of `stochastic` weights; None: 0.
        include: as for `apply`.
        exclude: as for `apply`.

    Raises:
        InputError: nothing left to be binary, an option that is unknown or does not fit, a weight already of a kind.
    """
    settings = Binarization(
        alphabet=alphabet,
        scale=scale,
        first_and_last=first_and_last,
        estimator=estimator,
        latent_bound=latent_bound,
        stochastic=stochastic,
        latent=latent,
        activations=activations,
        activation_estimator=activation_estimator,
        beta=beta,
        exponent=exponent,
        cutoff=cutoff,
        binary_from=binary_from,
        seed=seed,
    )
    sites, left = select(model, include, exclude)
    if first_and_last == "continuous":
        sites, left = keep_ends(model, sites, left, include)
    require(sites, "binary; the first and last matrix stay continuous unless first_and_last='binary'", left)
    inside = unwrap(model)
    if activations == "binary":
        replace_activations(inside, activation_estimator)
    for site in sites:
        parametrize.register_parametrization(
            site.owner, site.attribute, Binary(settings, site.stored, site.name, site.groups)
        )
    modules = [module for module in inside.modules() if isinstance(module, BinaryActivation)]
    return control(model, "binary", sites, left, str(settings), _Upkeep(modules))


@dataclass
class _Upkeep:
    """What is due after each step; an object and not a closure, so that copies of a controller keep to their model."""

    activations: list[BinaryActivation] = field(default_factory=list)

    def __call__(self, sites: Sequence[Site], progress: float) -> None:
        for site in sites:
            binary_of(site).settle(site.stored, progress)
        for activation in self.activations:
            activation.settle(progress)


def binary_of(site: Site) -> Binary:
    """The parametrization of a weight that `apply` made binary."""
    return next(step for step in site.chain if isinstance(step, Binary))
