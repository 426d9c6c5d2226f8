"""All pictures: what each shows, what it is drawn from, and the two functions behind it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from weightsmith.plots import (
    correlation,
    curves,
    embedding,
    filters,
    flips,
    gradients,
    histogram,
    histograms,
    importance,
    masks,
    matrix,
    profile,
    signs,
    similarity,
    sparsity,
    spectrum,
    units,
    updates,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class PlotInfo:
    """One kind of picture.

    Attributes:
        name: what it is asked for by.
        description: what it shows, in one line.
        reads: `run` for what was recorded during training, `source` for all weights of a source (or of the last
            snapshot of a run), `weight` for one of them.
        summarize: from a run, a source, or a source and the name of a weight, to a frozen record with a `title`.
        draw: from that record and a theme to a figure.
    """

    name: str
    description: str
    reads: Literal["run", "source", "weight"]
    summarize: Callable[..., Any]
    draw: "Callable[..., Figure]"


PLOTS: dict[str, PlotInfo] = {
    info.name: info
    for info in (
        PlotInfo(
            "curves",
            "loss, metrics and learning rate over the steps, with the monitor's verdict",
            "run",
            curves.summarize,
            curves.draw,
        ),
        PlotInfo(
            "histograms",
            "distribution of each layer's weights over training, as ridges",
            "run",
            histograms.summarize,
            histograms.draw,
        ),
        PlotInfo("updates", "update-to-weight ratio by layer and step", "run", updates.summarize, updates.draw),
        PlotInfo("gradients", "gradient norm by layer and step", "run", gradients.summarize, gradients.draw),
        PlotInfo("sparsity", "share of exact zeros by layer over the steps", "run", sparsity.summarize, sparsity.draw),
        PlotInfo(
            "flips",
            "share of binary or ternary values that flip, by layer and step",
            "run",
            flips.summarize,
            flips.draw,
        ),
        PlotInfo("masks", "how the masks of sparse weights change over the steps", "run", masks.summarize, masks.draw),
        PlotInfo(
            "signs",
            "latent weights of binary layers around zero, and the entropy of their signs",
            "run",
            signs.summarize,
            signs.draw,
        ),
        PlotInfo(
            "profile",
            "statistics of every weight over the depth of the model, with the layers that stand out",
            "source",
            profile.summarize,
            profile.draw,
        ),
        PlotInfo(
            "matrix",
            "a weight matrix as a heat picture, with the norms of its rows and columns",
            "weight",
            matrix.summarize,
            matrix.draw,
        ),
        PlotInfo(
            "histogram",
            "the values of one weight, with its zeros and outliers",
            "weight",
            histogram.summarize,
            histogram.draw,
        ),
        PlotInfo(
            "spectrum",
            "eigenvalues of a weight against noise, with the power law of their tail",
            "weight",
            spectrum.summarize,
            spectrum.draw,
        ),
        PlotInfo(
            "correlation",
            "correlations between the neurons of a layer and between its inputs, similar ones together",
            "weight",
            correlation.summarize,
            correlation.draw,
        ),
        PlotInfo(
            "embedding",
            "the neurons of a layer as points, similar ones together (t-SNE, PCA or UMAP; 2 or 3 dimensions)",
            "weight",
            embedding.summarize,
            embedding.draw,
        ),
        PlotInfo(
            "similarity",
            "cosine between the neurons of a layer, with near-duplicates named",
            "weight",
            similarity.summarize,
            similarity.draw,
        ),
        PlotInfo(
            "filters",
            "first-layer weights as small images, where the input is an image",
            "weight",
            filters.summarize,
            filters.draw,
        ),
        PlotInfo(
            "importance",
            "inputs of a first layer, ranked by the norm of their weights",
            "weight",
            importance.summarize,
            importance.draw,
        ),
        PlotInfo(
            "units",
            "what each unit of a binary or sparse first layer uses, by name and sign or as images",
            "weight",
            units.summarize,
            units.draw,
        ),
    )
}
"""Name -> what is known about it, in the order in which they are listed and drawn."""

ALIASES = {"heatmap": "matrix", "tsne": "embedding", "t-sne": "embedding"}
"""Other names that people ask for pictures by -> name in `PLOTS`."""

FIRST_LAYER = ("filters", "importance", "units")
"""Pictures that make sense for the weights that see the input itself."""
