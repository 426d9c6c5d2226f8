"""Answers that a view can do without, and the time that is given to them."""

import asyncio

from starlette.datastructures import Headers

from weightsmith.web.export.ask import Answer
from weightsmith.web.export.place import Asked
from weightsmith.web.export.plan import Patience, Wanted


def test_what_does_not_come_in_time_is_left_out_and_nothing_after_it_begins():
    asked, given_up = [], []

    async def ask(one):
        asked.append(one.segments)
        if one.segments == ("slow",):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                given_up.append(one.segments)
                raise
        return Answer(400 if one.segments == ("wrong",) else 200, Headers(), b"{}")

    async def run():
        patience = Patience(ask, 0.2)
        some = [Wanted(Asked.at(name)) for name in ("quick", "wrong", "slow", "late")]
        kept = [one.asked.segments async for one in patience.those_in_time(some)]
        return kept, await patience.known(Asked.at("quick"))

    assert asyncio.run(run()) == ([("quick",), ("wrong",)], None)  # an error is an answer
    assert asked == [("quick",), ("wrong",), ("slow",)]
    assert given_up == [("slow",)]
