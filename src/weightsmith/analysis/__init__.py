"""What weights look like: pure functions on NumPy arrays that return small frozen records."""

from weightsmith.analysis.correlation import Alike, Pair, Similarity, duplicate_rows, near_duplicates, similarity
from weightsmith.analysis.downsample import Cells, downsample
from weightsmith.analysis.embedding import Embedding, pca, tsne
from weightsmith.analysis.importance import Importance, input_importance
from weightsmith.analysis.matrix import Norms, as_matrix, norms
from weightsmith.analysis.order import leaf_order
from weightsmith.analysis.outliers import Connection, Outlier, scores, standing_out, strongest

__all__ = [
    "Alike",
    "Cells",
    "Connection",
    "Embedding",
    "Importance",
    "Norms",
    "Outlier",
    "Pair",
    "Similarity",
    "as_matrix",
    "downsample",
    "duplicate_rows",
    "input_importance",
    "leaf_order",
    "near_duplicates",
    "norms",
    "pca",
    "scores",
    "similarity",
    "standing_out",
    "strongest",
    "tsne",
]
