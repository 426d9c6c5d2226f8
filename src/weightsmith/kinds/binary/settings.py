"""How weights become binary: the options of the kind, checked."""

from dataclasses import dataclass
from numbers import Real
from typing import Literal, get_args

from weightsmith.errors import InputError
from weightsmith.kinds.binary.estimators import ActivationEstimator, Estimator
from weightsmith.names import choose

Alphabet = Literal["signs", "bits"]
Scale = Literal["none", "tensor", "channel", "learned"]
WeightEstimator = Literal["identity", "clipped", "approx_sign", "swish_sign", "reste", "proximal"]
Ends = Literal["continuous", "binary"]
Activations = Literal["kept", "binary"]
Bound = float | Literal["glorot", "none"]

BINARY_FROM = 0.75
"""Share of training from which on the weights of `proximal` are binary, where none is given."""


@dataclass(frozen=True)
class Binarization:
    """How weights become binary.

    Attributes:
        alphabet: `signs` for {-1, +1}, `bits` for {0, 1}.
        scale: `none`, a factor per `tensor` or output `channel` that follows the latent weights, or a `learned` one per
            output channel.
        first_and_last: kind of the model's first and last matrix, `continuous` or `binary`.
        estimator: how the gradient passes to the latent weights.
        latent_bound: latent weights are kept within plus and minus this number, Glorot's coefficient, or not at all.
        stochastic: whether training draws the values, with the latent weights as their chances.
        latent: whether there are latent weights; without, an optimizer flips the values themselves.
        activations: whether activation modules are `kept` or made `binary`.
        activation_estimator: how the gradient passes through binary activations.
        beta: steepness of `swish_sign`; None: 5.
        exponent: at which `reste` ends; None: 3.
        cutoff: beyond which `reste` stops the gradient; None: 1.5.
        binary_from: share of training from which on `proximal` weights are binary in training too; None: 0.75.
        seed: of stochastic weights; None: 0, or that of the recipe.
    """

    alphabet: Alphabet = "signs"
    scale: Scale = "none"
    first_and_last: Ends = "continuous"
    estimator: WeightEstimator = "clipped"
    latent_bound: Bound = 1.0
    stochastic: bool = False
    latent: bool = True
    activations: Activations = "kept"
    activation_estimator: ActivationEstimator = "clipped"
    beta: float | None = None
    exponent: float | None = None
    cutoff: float | None = None
    binary_from: float | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        choose(self.alphabet, get_args(Alphabet), "alphabet")
        choose(self.scale, get_args(Scale), "scale")
        choose(self.first_and_last, get_args(Ends), "first_and_last")
        choose(self.estimator, get_args(WeightEstimator), "estimator")
        choose(self.activations, get_args(Activations), "activations")
        choose(self.activation_estimator, get_args(ActivationEstimator), "activation_estimator")
        for name in ("stochastic", "latent"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"{name} is True or False, not {getattr(self, name)!r}")
        self._check_bound()
        self._check_seed()
        self._check_binary_from()
        self.straight_through()  # refuses options of its own that do not fit
        if not self.latent:
            self._check_latent_free()

    def straight_through(self) -> Estimator:
        """The estimator with its own options; a proximal weight passes gradients as they are once it is binary."""
        name: ActivationEstimator = "identity" if self.estimator == "proximal" else self.estimator
        return Estimator("identity" if not self.latent else name, self.beta, self.exponent, self.cutoff)

    @property
    def proximal_until(self) -> float | None:
        """Share of training until which weights lie between latent and binary; None where they never do."""
        if self.estimator != "proximal":
            return None
        return BINARY_FROM if self.binary_from is None else float(self.binary_from)

    def _check_bound(self) -> None:
        bound = self.latent_bound
        fits = bound in ("glorot", "none") if isinstance(bound, str) else is_positive(bound)
        if not fits:
            raise InputError(f"latent_bound is a finite number above 0, 'glorot' or 'none', not {bound!r}")

    def _check_seed(self) -> None:
        if self.seed is not None and (isinstance(self.seed, bool) or not isinstance(self.seed, int)):
            raise InputError(f"the seed is a whole number, not {self.seed!r}")

    def _check_binary_from(self) -> None:
        share = self.binary_from
        if share is None:
            return
        if self.estimator != "proximal":
            raise InputError(f"binary_from belongs to the estimator proximal, not to {self.estimator}")
        if not (is_positive(share) and share <= 1):
            raise InputError(f"binary_from is a share of training above 0 and up to 1, not {share!r}")

    def _check_latent_free(self) -> None:
        if self.scale in ("tensor", "channel"):
            raise InputError(f"scale {self.scale} follows latent weights: with latent=False choose none or learned")
        if self.estimator not in ("clipped", "identity"):
            raise InputError(
                f"estimator {self.estimator} moves latent weights, and latent=False has none: leave it out"
            )
        if self.stochastic:
            raise InputError("stochastic draws from latent weights, and latent=False has none: leave one of them out")

    def __str__(self) -> str:
        values = "-1 and +1" if self.alphabet == "signs" else "0 and 1"
        scales = {"none": "", "learned": " times a learned scale per channel"}
        text = values + scales.get(self.scale, f" times a scale per {self.scale}")
        text += "" if self.latent else ", flipped without latent weights"
        text += ", drawn at random in training" if self.stochastic else ""
        until = self.proximal_until
        return text if until is None else f"{text}, in training from {until:.0%} of it on"


def is_positive(value: object) -> bool:
    """Whether a value is a finite number above 0."""
    return isinstance(value, Real) and not isinstance(value, bool) and 0 < float(value) < float("inf")
