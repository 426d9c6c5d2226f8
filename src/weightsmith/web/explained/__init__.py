"""A run's model, built again to be asked what it looks at: the only part of the page that needs torch, once asked."""

from weightsmith.web.explained.model import Explained, build
from weightsmith.web.explained.questions import ANSWERED, Answers, answers, attributions, inputs_of, maximized

__all__ = ["ANSWERED", "Answers", "Explained", "answers", "attributions", "build", "inputs_of", "maximized"]
