"""`.../spectrum`: the singular values of a weight and what they tell."""

import math
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request, Response

from weightsmith.analysis import Spectrum, spectrum
from weightsmith.web.answer import as_json, number, numbers
from weightsmith.web.copied import copied
from weightsmith.web.long import long_answer
from weightsmith.web.routes.weight import Index
from weightsmith.web.served import Here
from weightsmith.web.work import Check

router = APIRouter()

TIME_LIMIT = 20.0
"""Seconds; what would take longer is estimated, and the answer says so."""

MOST = 16_384
"""Singular values handed out; of a convolution with more, as many evenly spread ones."""


@router.get("/api/sources/{source}/weights/{index}/spectrum")
async def spectrum_of_weight(request: Request, here: Here, source: str, index: Index) -> Response:
    """Singular values, largest first, with ranks, noise bulk and power law; 400 for what is no matrix."""
    opened = await to_thread.run_sync(here.library.source, source)
    weight = copied(opened.weight(index))

    def compute(check: Check) -> bytes:
        file_format = opened.source.file_format
        return as_json(plain(spectrum(weight, time_limit=TIME_LIMIT, file_format=file_format, progress=check)))

    return await long_answer(request, here, ("spectrum", opened.content, index), compute)


def plain(found: Spectrum) -> dict[str, Any]:
    """The record as plain JSON values.

    `bulk_edge` is the upper edge of the noise among the singular values, `bulk_limit` what the largest of pure noise
    stays below; `bulk` and `power_law` speak of eigenvalues, the squares of singular values, as `Spectrum` does.
    """
    values = found.singular_values
    step = -(-len(values) // MOST)
    law, bulk = found.power_law, found.bulk
    return {
        "rows": found.rows,
        "columns": found.columns,
        "matrices": found.matrices,
        "singular_values": numbers(values[::step], 7),
        "count": len(values),
        "rank": found.rank,
        "stable_rank": number(found.stable_rank),
        "effective_rank": number(found.effective_rank),
        "bulk_edge": number(math.sqrt(max(bulk.upper, 0.0))),
        "bulk_limit": number(math.sqrt(max(bulk.limit, 0.0))),
        "spikes": bulk.spikes,
        "bulk": {name: number(getattr(bulk, name)) for name in ("variance", "lower", "upper", "limit")},
        "alpha": found.alpha,
        "power_law": None if law is None else {name: number(value) for name, value in vars(law).items()},
        "log_norm": number(found.log_norm),
        "log_spectral_norm": number(found.log_spectral_norm),
        "log_alpha_norm": number(found.log_alpha_norm),
        "alpha_weighted": number(found.alpha_weighted),
        "mp_soft_rank": number(found.mp_soft_rank),
        "exact": found.exact,
        "error": found.error,
    }
