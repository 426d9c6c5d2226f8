"""One file for each thing that can be asked for; each holds a `router`."""

from weightsmith.web.routes import (
    attribution,
    changes,
    compare,
    correlation,
    difference,
    embedding,
    events,
    explain,
    export,
    filters,
    findings,
    gradients,
    hello,
    histograms,
    layers,
    marginals,
    order,
    page,
    run,
    runs,
    series,
    side_by_side,
    source,
    spectrum,
    statistics,
    tiles,
    weight,
)

ROUTERS = (
    *(hello.router, runs.router, run.router, series.router, layers.router, gradients.router, histograms.router),
    findings.router,
    *(source.router, statistics.router, weight.router, tiles.router, marginals.router, order.router, filters.router),
    *(spectrum.router, correlation.router, difference.router, embedding.router, events.router),
    *(compare.router, changes.router, side_by_side.router, explain.router, attribution.router),
    export.router,
    page.router,  # takes whatever the others left
)
