"""Two values forward, a continuous latent weight that learns behind them."""

from weightsmith.kinds.binary.activation import BinaryActivation
from weightsmith.kinds.binary.apply import binary, binary_of
from weightsmith.kinds.binary.parametrization import Binary
from weightsmith.kinds.binary.settings import Binarization

__all__ = ["Binarization", "Binary", "BinaryActivation", "binary", "binary_of"]
