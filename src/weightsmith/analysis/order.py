"""An order of rows that puts similar ones side by side, for heatmaps."""

import numpy as np
from numpy.typing import NDArray


def leaf_order(similarity: NDArray[np.float32]) -> NDArray[np.int64]:
    """The order in which hierarchical clustering lays out rows, given their similarity.

    Average linkage on `1 - similarity`; up to 500 rows the leaves are turned so that neighbors are as alike as the
    tree allows (Bar-Joseph, Gifford and Jaakkola, 2001), which costs too much beyond.

    Args:
        similarity: float32[n, n], symmetric, in [-1, 1].

    Returns:
        int64[n]: a permutation of the rows.
    """
    count = len(similarity)
    if count < 3:
        return np.arange(count)
    from scipy.cluster.hierarchy import leaves_list, linkage

    upper = np.triu_indices(count, 1)
    distance = np.maximum(1.0 - similarity[upper].astype(np.float64), 0.0)
    return leaves_list(linkage(distance, "average", optimal_ordering=count <= 500)).astype(np.int64)
