"""What a live model is sensitive to in its input. Needs the model itself, hence torch; each method names its paper."""

from weightsmith.explain.attribution import Attribution, Maximized
from weightsmith.explain.grad_cam import grad_cam
from weightsmith.explain.gradients import integrated_gradients, saliency
from weightsmith.explain.maximization import count_units, maximize_activation

__all__ = [
    "Attribution",
    "Maximized",
    "count_units",
    "grad_cam",
    "integrated_gradients",
    "maximize_activation",
    "saliency",
]
