"""One file for each thing that can be asked for; each holds a `router`."""

from weightsmith.web.routes import hello, layers, page, run, runs, series, source, statistics, tiles, weight

ROUTERS = (
    *(hello.router, runs.router, run.router, series.router, layers.router),
    *(source.router, statistics.router, weight.router, tiles.router),
    page.router,  # takes whatever the others left
)
