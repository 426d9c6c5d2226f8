"""`.../findings`: what the rules say about a run or about weights."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from anyio import to_thread
from fastapi import APIRouter, Request, Response

from weightsmith.names import printable
from weightsmith.scan import Cache
from weightsmith.sources import Source
from weightsmith.store import Run
from weightsmith.web.answer import as_json
from weightsmith.web.long import long_answer
from weightsmith.web.served import Here
from weightsmith.web.work import Check

if TYPE_CHECKING:
    from weightsmith.rules import Finding, Report

router = APIRouter()


@router.get("/api/stores/{store}/runs/{run}/findings")
async def of_run(request: Request, here: Here, store: str, run: str) -> Response:
    """Findings about a run: what it recorded, and the weights of its latest snapshot."""
    found = await to_thread.run_sync(here.library.run, store, run)
    cache = Cache(here.library.store(store).cache / "scans")
    return await _findings(request, here, ("findings", store, run, found.updated), found, cache)


@router.get("/api/sources/{source}/findings")
async def of_source(request: Request, here: Here, source: str) -> Response:
    """Findings about the weights of a file or snapshot."""
    opened = await to_thread.run_sync(here.library.source, source)
    return await _findings(request, here, ("findings", opened.content), opened.source, opened.cache)


async def _findings(
    request: Request, here: Here, key: tuple[Any, ...], subject: Run | Source, cache: Cache | None
) -> Response:
    def compute(still_wanted: Check) -> bytes:
        from weightsmith.rules import check

        def progress(done: int, total: int, what: str) -> None:
            still_wanted(done, total, f"Looking at {printable(what[:200])}" if what else "Applying the rules")

        report = check(subject, configuration=here.configuration, cache=cache, progress=progress)
        return as_json({"findings": [told(one) for one in report.findings], "not_judged": list(_not_judged(report))})

    return await long_answer(request, here, key, compute)


def told(finding: "Finding") -> dict[str, Any]:
    """A finding as the page shows it: the fields of `weightsmith check --json` under the page's words."""
    plain = finding.to_json()
    return {
        "code": finding.code,
        "severity": finding.severity,
        "name": finding.name,
        "weight": None if finding.weight is None else printable(finding.weight),
        "step": finding.since,
        "message": printable(finding.message),
        "evidence": plain["evidence"],
        "fix": printable(finding.advice),
    }


def _not_judged(report: "Report") -> Iterator[dict[str, Any]]:
    """Rules that were not applied, weights that a rule left out, and weights that could not be read."""
    for skipped in report.skipped:
        yield {"code": skipped.code, "name": skipped.name, "reason": printable(skipped.reason), "weights": []}
    for left in report.unchecked:
        weights = [printable(name) for name in left.weights]
        yield {"code": left.code, "name": left.name, "reason": printable(left.reason), "weights": weights}
    for name, reason in report.unreadable.items():
        yield {"code": None, "name": None, "reason": printable(reason), "weights": [printable(name)]}
