"""From a view to one HTML file: its answers, as many as a budget has room for, inside the page."""

import base64
import gzip
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from anyio import to_thread
from starlette.requests import Request
from starlette.types import ASGIApp, Receive

from weightsmith.errors import InputError
from weightsmith.web.answer import as_json, moment
from weightsmith.web.export.ask import Answer, ask
from weightsmith.web.export.document import as_data, document, page_bytes
from weightsmith.web.export.place import Asked, Place
from weightsmith.web.export.plan import Plan, Wanted
from weightsmith.web.export.views import planned, title
from weightsmith.web.work import AbandonedError

MEGABYTE = 1_000_000

PLAIN = 600
"""Bytes of JSON up to which an answer is kept as it is; longer ones are compressed."""

WORTH = 0.95
"""Part of its size that compression must bring bytes to; else the browser is spared the work."""

_NEEDED = "the view itself"

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Saved:
    """A view as one file.

    Attributes:
        html: the file.
        title: what it shows, such as "first" or "layer.weight of model.safetensors".
        answers: how many answers are in it.
        left_out: parts that found no room, in words.
    """

    html: str
    title: str
    answers: int
    left_out: tuple[str, ...]

    @property
    def file_name(self) -> str:
        """A name for it that every file system takes."""
        return re.sub(r"[^\w.-]+", "-", self.title).strip("-.")[:80].strip("-.") + ".html"


@dataclass
class _Kept:
    """Answers as they go into the file, within what it may still hold."""

    room: int
    entries: dict[str, Any] = field(default_factory=dict)
    left_out: dict[str, None] = field(default_factory=dict)

    def add(self, wanted: Wanted, entry: dict[str, Any]) -> bool:
        """Take an answer in, unless there is no room for it."""
        key = wanted.asked.key
        size = len(as_data({key: entry}))
        if size > self.room:
            return False
        self.room -= size
        self.entries[key] = entry
        return True


async def save(
    app: ASGIApp,
    place: Place,
    receive: Receive,
    *,
    budget: int = 25 * MEGABYTE,
    progress: Progress = lambda *_: None,
) -> Saved:
    """The view at a place as one file that needs nothing else.

    Args:
        app: answers the page's requests; without its guard.
        place: the view.
        receive: tells when whoever waits has left.
        budget: bytes that the file may have.
        progress: called with the answers taken in, all answers, and what follows.

    Raises:
        UnknownError: nothing is there, or this is no view.
        InputError: even the least that the view needs is too much, or it cannot be read.
        AbandonedError: whoever waits has left.
        BusyError: the server is busy with other work.
    """
    answers: dict[str, Answer] = {}
    caller = Request({"type": "http"}, receive)

    async def asking(asked: Asked) -> Answer:
        """Ask once: what the plan has looked at is not computed again for the file."""
        if asked.key not in answers:
            if await caller.is_disconnected():
                raise AbandonedError
            answers[asked.key] = await ask(app, asked, receive)
        return answers[asked.key]

    name = await title(asking, place)
    wanted = await _all(planned(asking, place, budget), progress)
    kept = _Kept(budget - page_bytes())
    for done, one in enumerate(wanted):
        progress(done, len(wanted), one.part or _NEEDED)
        if one.part in kept.left_out:
            continue
        entry = await to_thread.run_sync(_entry, await asking(one.asked), one)
        if not kept.add(one, entry):
            _refuse_needed(one, budget)
            kept.left_out[one.part] = None
        del answers[one.asked.key]
    manifest = {
        "saved": moment(datetime.now(UTC)),
        "title": name,
        "version": version("weightsmith"),
        "view": str(place),
        "views": [place.name],
        "megabytes": budget / MEGABYTE,
        "left_out": list(kept.left_out),
        "answers": kept.entries,
    }
    html = await to_thread.run_sync(document, manifest, name)
    return Saved(html, name, len(kept.entries), tuple(kept.left_out))


async def _all(plan: Plan, progress: Progress) -> list[Wanted]:
    """All that a plan names, each once, as it was named first."""
    found: dict[str, Wanted] = {}
    async for one in plan:
        progress(0, len(found), one.part or _NEEDED)
        found.setdefault(one.asked.key, one)
    return list(found.values())


def _refuse_needed(wanted: Wanted, budget: int) -> None:
    if not wanted.part:
        raise InputError(f"the view needs more than {budget / MEGABYTE:g} MB: give it more room with --budget")


def _entry(answer: Answer, wanted: Wanted) -> dict[str, Any]:
    """An answer as the page finds it in the file; the page's side is `ui/src/api/saved.ts`."""
    body = answer.body
    if wanted.trim is not None and answer.good:
        body = as_json(wanted.trim(answer.json()))
    entry: dict[str, Any] = {} if answer.good else {"status": answer.status}
    if answer.kind == "application/json" and len(body) <= PLAIN:
        return {**entry, "json": json.loads(body)}
    headers = {name: answer.headers[name] for name in ("X-Rows", "X-Columns") if name in answer.headers}
    if headers:
        entry["headers"] = headers
    packed = gzip.compress(body, 6, mtime=0)
    if len(packed) < WORTH * len(body):
        return {**entry, "gzip": base64.b64encode(packed).decode("ascii")}
    return {**entry, "base64": base64.b64encode(body).decode("ascii")}
