"""A server whose application still loads: the page's files at once, everything else when it is there."""

import asyncio
import threading

import httpx2
import pytest
from starlette.responses import PlainTextResponse

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
            asyncio.ensure_future(client.get(path)) for path in ("/api/hello", "/nothing.js", "/../outside.html")
        ]
        assert (await client.get(f"{root_path}/")).text == "the page"
        script = await client.get(f"{root_path}/assets/index-D4f_g7Hk.js")
        assert script.text == "export {}"
        assert "immutable" in script.headers["cache-control"]
        assert not any(one.done() for one in waiting)
        may_load.set()
        assert [(await one).text.startswith("application: ") for one in waiting] == [True] * 3
        assert (await client.get("/")).text == "application: /"

    talk(scenario, load, root_path)


def test_what_loading_raises_is_raised_by_every_request(built):
    def load():
        raise ModuleNotFoundError("no fastapi")

    async def scenario(client):
        for _ in range(2):
            with pytest.raises(ModuleNotFoundError, match="no fastapi"):
                await client.get("/api/hello")

    talk(scenario, load)
