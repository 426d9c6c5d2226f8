"""What a view needs: every address that its panels and controls may ask for, the most important ones first.

A new panel or control takes one line here: a `yield` of what it asks for.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from weightsmith.errors import InputError
from weightsmith.web.export.ask import Answer, Ask
from weightsmith.web.export.place import Asked
from weightsmith.web.faults import UnknownError

Trim = Callable[[Any], Any]


@dataclass(frozen=True)
class Wanted:
    """One answer that a view may ask for.

    Attributes:
        asked: the address.
        part: what it belongs to, in words for people; where one answer of a part finds no room, the others of that part
            are left out as well. Without it the view is nothing without the answer.
        trim: takes out of the answer what is none of this view's business, or is not kept.
    """

    asked: Asked
    part: str = ""
    trim: Trim | None = None


Plan = AsyncIterator[Wanted]


async def known(ask: Ask, asked: Asked) -> Any:
    """The JSON at an address.

    Raises:
        UnknownError: nothing is there.
        InputError: it cannot be read.
    """
    return found(await ask(asked))


def found(answer: Answer) -> Any:
    """The JSON of an answer, as `known`."""
    if answer.good:
        return answer.json()
    raise (UnknownError if answer.status == 404 else InputError)(answer.error)


def hello(stores: set[str], files: set[str]) -> Wanted:
    """What is served, without the stores and files that the view does not speak of."""

    def trim(told: Any) -> Any:
        kept = {"stores": stores, "files": files}
        return told | {name: [one for one in told[name] if one["id"] in ids] for name, ids in kept.items()}

    return Wanted(Asked.at("hello"), trim=trim)


def runs(references: set[str] | None) -> Wanted:
    """The list of runs, or of these alone."""
    if references is None:
        return Wanted(Asked.at("runs"))

    def trim(told: Any) -> Any:
        return {"runs": [run for run in told["runs"] if f"{run['store']}~{run['id']}" in references]}

    return Wanted(Asked.at("runs"), trim=trim)


class Patience:
    """Time for answers that a view can do without: what is not there when it is over is left out.

    Args:
        ask: asks the application.
        seconds: for all of them together.
    """

    def __init__(self, ask: Ask, seconds: float) -> None:
        self._ask = ask
        self._left = seconds

    async def answer(self, asked: Asked) -> Answer | None:
        """The answer of an address, which may be an error; None where it did not come in time."""
        if not self._left:
            return None
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            async with asyncio.timeout(self._left):
                return await self._ask(asked)
        except TimeoutError:
            return None
        finally:
            self._left = max(0.0, self._left - (loop.time() - begun))

    async def known(self, asked: Asked) -> Any:
        """The JSON at an address; None where it did not come in time, or is an error."""
        answer = await self.answer(asked)
        return answer.json() if answer is not None and answer.good else None

    async def those_in_time(self, some: Iterable[Wanted]) -> Plan:
        """Of these the ones whose answer comes in time."""
        for wanted in some:
            if await self.answer(wanted.asked) is not None:
                yield wanted


async def all_runs(ask: Ask) -> Plan:
    """The list of all runs."""
    told = await known(ask, Asked.at("hello"))
    yield hello({one["id"] for one in told["stores"]}, {one["id"] for one in told["files"]})
    yield runs(None)


async def source(ask: Ask, source_id: str) -> Plan:
    """The table of weights of a file or snapshot."""
    yield origin(source_id)
    async for wanted in table(ask, source_id):
        yield wanted


async def table(_: Ask, source_id: str, part: str = "") -> Plan:
    """What a panel of weights asks for."""
    yield Wanted(Asked.at("sources", source_id), part)
    yield Wanted(Asked.at("sources", source_id, "statistics"), part)
    yield Wanted(Asked.at("sources", source_id, "findings"), part)


def origin(source_id: str) -> Wanted:
    """What is served, as far as these weights come from it."""
    store = source_id.partition("~")[0]
    return hello({store}, {source_id})
