"""Activations of -1 and +1."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from weightsmith.errors import InputError
from weightsmith.kinds.binary.estimators import ActivationEstimator, Estimator, pass_through, two_values


class BinaryActivation(nn.Module):
    """The sign of its input, +1 for 0, with a straight-through gradient (Hubara et al. 2016, "Binarized Networks").

    Place it after batch normalization, with pooling before that: the maximum of signs would say little. In evaluation
    NaN counts as negative, as in packed layers; while gradients are taken it stays NaN, so that it is seen.

    Args:
        estimator: how the gradient passes, see `weightsmith.kinds.binary.estimators`.
        beta: steepness of `swish_sign`; None: 5.
        exponent: at which `reste` ends; None: 3. The controller of `kinds.binary` tells it how far the training is.
        cutoff: beyond which `reste` stops the gradient; None: 1.5.

    Raises:
        InputError: an unknown estimator, or an option that does not fit it.
    """

    kind: ClassVar[str] = "binary"
    progress: Tensor

    def __init__(
        self,
        estimator: ActivationEstimator = "clipped",
        *,
        beta: float | None = None,
        exponent: float | None = None,
        cutoff: float | None = None,
    ) -> None:
        super().__init__()
        self.estimator = Estimator(estimator, beta, exponent, cutoff)
        if self.estimator.anneals:
            self.register_buffer("progress", torch.zeros(()))

    def forward(self, inputs: Tensor) -> Tensor:
        """-1 or +1, of the inputs' shape and dtype."""
        values = two_values(inputs, -1.0, keep_nan=False)
        return pass_through(inputs, values, self.estimator, self.progress if self.estimator.anneals else None)

    def settle(self, progress: float) -> None:
        """Note the share of training that is over."""
        if self.estimator.anneals:
            with torch.no_grad():
                self.progress.fill_(progress)

    def extra_repr(self) -> str:
        """Estimator, for printed models."""
        return f"estimator={self.estimator.name}"


ACTIVATIONS: tuple[type[nn.Module], ...] = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.PReLU,
    nn.RReLU,
    nn.ELU,
    nn.CELU,
    nn.SELU,
    nn.GELU,
    nn.SiLU,
    nn.Mish,
    nn.Hardswish,
    nn.Hardtanh,
    nn.Tanh,
    nn.Sigmoid,
    nn.Hardsigmoid,
    nn.Softplus,
    nn.Softsign,
    BinaryActivation,
)
"""Modules that `replace_activations` takes for activations."""


def replace_activations(model: nn.Module, estimator: ActivationEstimator) -> list[str]:
    """Put a binary activation in the place of each activation module of a model; their paths.

    Raises:
        InputError: there is none; those that a forward method calls as functions cannot be replaced.
    """
    places = [
        (parent, name, f"{path}.{name}" if path else name)
        for path, parent in model.named_modules()
        for name, child in parent.named_children()
        if isinstance(child, ACTIVATIONS)
    ]
    if not places:
        raise InputError(
            f"activations: {type(model).__name__} has no activation module to make binary: place "
            "weightsmith.kinds.BinaryActivation in it"
        )
    place = next((parameter.device for parameter in model.parameters()), None)
    for parent, name, _ in places:
        replaced = getattr(parent, name)
        setattr(parent, name, BinaryActivation(estimator).to(place).train(replaced.training))
    return [path for _, _, path in places]
