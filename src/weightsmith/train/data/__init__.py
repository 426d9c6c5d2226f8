"""Data for training: read, split, standardized."""

from weightsmith.train.data.data import Data, Split
from weightsmith.train.data.load import load_data
from weightsmith.train.data.standardization import Standardization
from weightsmith.train.data.user import from_datasets

__all__ = ["Data", "Split", "Standardization", "from_datasets", "load_data"]
