"""A server whose application still loads: the page's files at once, everything else when it is there."""

import asyncio
import threading

import httpx2
import pytest
from starlette.responses import PlainTextResponse

from weightsmith.errors import InputError
from weightsmith.web.starting import Starting


@pytest.fixture
def built(tmp_path, monkeypatch):
    folder = tmp_path / "page"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("the page")
    (folder / "assets" / "index-D4f_g7Hk.js").write_text("export {}")
    (tmp_path / "outside.html").write_text("outside")
    monkeypatch.setattr("weightsmith.web.built.BUILT", folder)


def talk(scenario, load, root_path=""):
    """Run the scenario with a client of a server that starts."""

    async def run():
        transport = httpx2.ASGITransport(Starting(load), root_path=root_path)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            await scenario(client)

    asyncio.run(asyncio.wait_for(run(), 120))


async def application(scope, receive, send):
    await PlainTextResponse(f"application: {scope['path']}")(scope, receive, send)


@pytest.mark.parametrize("root_path", ["", "/x"])
def test_files_of_the_page_come_at_once_and_answers_once_it_has_loaded(built, root_path):
    may_load = threading.Event()

    def load():
        assert may_load.wait(120)
        return application

    async def scenario(client):
        waiting = [
            asyncio.ensure_future(client.get(path))
            for path in ("/api/hello", "/nothing.js", "/../outside.html", "/xassets/index-D4f_g7Hk.js")
        ]
        assert (await client.get(f"{root_path}/")).text == "the page"
        script = await client.get(f"{root_path}/assets/index-D4f_g7Hk.js")
        assert script.text == "export {}"
        assert "immutable" in script.headers["cache-control"]
        assert not any(one.done() for one in waiting)
        may_load.set()
        assert [(await one).text.startswith("application: ") for one in waiting] == [True] * 4
        assert (await client.get("/")).text == "application: /"

    talk(scenario, load, root_path)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ModuleNotFoundError("no fastapi"), "ModuleNotFoundError: no fastapi; install weightsmith again"),
        (SystemExit("two\nlines"), "SystemExit: two lines"),
        (MemoryError(), "MemoryError"),
        (InputError("in words"), "in words"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_where_it_does_not_load_every_request_is_told_so(built, error, words):
    def load():
        raise error

    async def scenario(client):
        for _ in range(2):
            response = await client.get("/api/hello")
            assert response.status_code == 503
            assert response.json()["error"].removeprefix("the page cannot be served: ") == words

    talk(scenario, load)
