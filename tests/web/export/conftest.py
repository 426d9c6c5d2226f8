"""Views made into files inside the test's process, and what lies in such a file."""

import asyncio
import base64
import gzip
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from weightsmith.rules import Configuration
from weightsmith.scan import Cache
from weightsmith.web.app import create_app
from weightsmith.web.export import MEGABYTE, Place, Saved, save
from weightsmith.web.library import Library
from weightsmith.web.served import Served


@dataclass
class Opened:
    """A saved view, read as any program could.

    Attributes:
        saved: what was made.
        facts: the data in the file.
    """

    saved: Saved
    facts: dict[str, Any]

    @property
    def addresses(self) -> list[str]:
        """What the file can answer."""
        return list(self.facts["answers"])

    def entry(self, address: str) -> dict[str, Any]:
        """What lies under an address."""
        return dict(self.facts["answers"][address])

    def bytes(self, address: str) -> bytes:
        """The body of an answer."""
        entry = self.entry(address)
        if "gzip" in entry:
            return gzip.decompress(base64.b64decode(entry["gzip"]))
        return base64.b64decode(entry["base64"]) if "base64" in entry else json.dumps(entry["json"]).encode()

    def json(self, address: str) -> Any:
        """The body of an answer as JSON."""
        return json.loads(self.bytes(address))


def read(html: str) -> dict[str, Any]:
    """The data in a saved file."""
    found = re.search(r'<script type="application/json" id="saved">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    facts: dict[str, Any] = json.loads(found.group(1))
    return facts


@pytest.fixture
def saved(tmp_path, store) -> Callable[..., Opened]:
    """Save a view over the store and some files."""

    def make(view: str, *files: object, megabytes: float = 25) -> Opened:
        held = {f"f{place}": str(what) for place, what in enumerate(files)}
        library = Library({"s0": store}, held, Cache(tmp_path / "scans"))

        async def never() -> Any:
            await asyncio.Event().wait()

        async def run() -> Saved:
            app = create_app(Served(library, Configuration()))
            return await save(app, Place.parsed(view), never, budget=int(megabytes * MEGABYTE))

        made = asyncio.run(run())
        return Opened(made, read(made.html))

    return make
