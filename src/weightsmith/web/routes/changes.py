"""`api/compare/weights`: what became of each weight from one checkpoint to another, and what kind of change it was."""

from typing import TYPE_CHECKING, Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response

from weightsmith.names import printable
from weightsmith.web.answer import as_json, number
from weightsmith.web.copied import copied_source
from weightsmith.web.library import Opened
from weightsmith.web.long import long_answer
from weightsmith.web.routes.compare import Reference
from weightsmith.web.served import Here
from weightsmith.web.work import Check
from weightsmith.weight import WeightInfo

if TYPE_CHECKING:
    from weightsmith.analysis.diff import Change, ChangeRank, Diff

router = APIRouter()


@router.get("/api/compare/weights")
async def changes(
    request: Request, here: Here, source: Annotated[list[Reference], Query(min_length=2, max_length=2)]
) -> Response:
    """The first `source` is what there was, the second what there is; formats, names and types may differ.

    `before` and `after` of a change hold the index of the weight there. `removed` are those that only the first has.
    """
    before, after = [await to_thread.run_sync(here.library.source, one) for one in source]

    def compute(check: Check) -> bytes:
        from weightsmith.analysis.diff import diff

        def progress(done: int, total: int, what: str) -> None:
            check(done, total, f"Comparing {printable(what[:200])}")

        check(doing="Matching weights")
        old, new = copied_source(before.source), copied_source(after.source)
        return as_json(_plain(diff(old, new, progress=progress), before, after))

    return await long_answer(request, here, ("changes", before.content, after.content), compute)


def _plain(found: "Diff", before: Opened, after: Opened) -> dict[str, Any]:
    old, new = (_places(one) for one in (before, after))
    return {
        "verdict": printable(found.verdict),
        "same": found.same,
        "changes": [_change(change, old, new) for change in found.changes],
        "removed": [_side(info, old) for info in found.removed],
        "added": [_side(info, new) for info in found.added],
    }


def _places(opened: Opened) -> dict[str, int]:
    return {weight.name: place for place, weight in enumerate(opened.weights)}


def _side(info: WeightInfo, places: dict[str, int]) -> dict[str, Any]:
    return {
        "index": places[info.name],
        "name": printable(info.name),
        "shape": list(info.shape),
        "dtype": info.dtype,
    }


def _change(change: "Change", old: dict[str, int], new: dict[str, int]) -> dict[str, Any]:
    """One weight; `from_zero` says that it was all zeros before, so that no relative change tells how far it went."""
    return {
        "before": _side(change.before, old),
        "after": _side(change.after, new),
        "relation": change.relation,
        "matched": change.matched,
        "relative": number(change.relative),
        "from_zero": change.norm_before == 0 and change.norm_after > 0,
        "cosine": number(change.cosine),
        "sign_flips": number(change.sign_flips),
        "differing": number(change.differing),
        "zeroed": number(change.zeroed),
        "rank": None if change.rank is None else _rank(change.rank),
        "rows": [{"row": one.row, "relative": number(one.relative)} for one in change.top_rows],
        "through": change.through,
        "reason": None if change.reason is None else printable(change.reason),
    }


def _rank(rank: "ChangeRank") -> dict[str, Any]:
    return {"rank": rank.rank, "limit": rank.limit, "low": rank.low}
