"""What weights look like: pure functions on NumPy arrays that return small frozen records."""

from weightsmith.analysis.correlation import Alike, Pair, Similarity, duplicate_rows, near_duplicates, similarity
from weightsmith.analysis.downsample import Cells, downsample
from weightsmith.analysis.embedding import Embedding, pca, tsne, umap
from weightsmith.analysis.importance import Importance, input_importance
from weightsmith.analysis.marchenko_pastur import Bulk, fit_bulk
from weightsmith.analysis.matrix import Norms, as_matrix, kernel, neurons, norms
from weightsmith.analysis.order import leaf_order
from weightsmith.analysis.outliers import Connection, Outlier, scores, standing_out, strongest
from weightsmith.analysis.power_law import PowerLaw, fit_power_law
from weightsmith.analysis.profile import CRITERIA, Criterion, Statistics, profile
from weightsmith.analysis.rule_list import ClassRule, rules_of
from weightsmith.analysis.spectrum import Spectrum, spectrum
from weightsmith.analysis.units import Unit, Use, units_used

__all__ = [
    "CRITERIA",
    "Alike",
    "Bulk",
    "Cells",
    "ClassRule",
    "Connection",
    "Criterion",
    "Embedding",
    "Importance",
    "Norms",
    "Outlier",
    "Pair",
    "PowerLaw",
    "Similarity",
    "Spectrum",
    "Statistics",
    "Unit",
    "Use",
    "as_matrix",
    "downsample",
    "duplicate_rows",
    "fit_bulk",
    "fit_power_law",
    "input_importance",
    "kernel",
    "leaf_order",
    "near_duplicates",
    "neurons",
    "norms",
    "pca",
    "profile",
    "rules_of",
    "scores",
    "similarity",
    "spectrum",
    "standing_out",
    "strongest",
    "tsne",
    "umap",
    "units_used",
]
