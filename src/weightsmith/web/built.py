"""The page as Vite built it."""

import re
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from weightsmith.web.answer import encoded

BUILT: Final = Path(__file__).parent / "page"
"""Where it lies."""

KINDS: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".txt": "text/plain; charset=utf-8",
}
"""Media types of what is shown to browsers, by suffix."""

_HASHED = re.compile(r"assets/.*[-.][A-Za-z0-9_-]{8,}\.\w+")


def built_file(request: Request, path: str) -> Response | None:
    """A built file, or None where there is none of that path.

    What may be asked for is listed from the folder itself, so no address leads out of it.

    Args:
        request: asked for it.
        path: below the page's folder, without a slash before it.
    """
    files = {file.relative_to(BUILT).as_posix(): file for file in BUILT.rglob("*") if file.suffix in KINDS}
    if path not in files:
        return None
    file = files[path]
    return encoded(request, file.read_bytes(), KINDS[file.suffix], lasting=bool(_HASHED.fullmatch(path)))
