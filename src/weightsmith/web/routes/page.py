"""Everything that is not `api`: the page itself, as it was built."""

import re
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from weightsmith.web.answer import encoded
from weightsmith.web.built import BUILT
from weightsmith.web.faults import UnknownError

router = APIRouter()

_KINDS: Final = {
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
_NOT_BUILT: Final = b"The page is not built: run `npm ci && npm run build` in ui/, or install a released weightsmith.\n"
_HASHED = re.compile(r"assets/.*[-.][A-Za-z0-9_-]{8,}\.\w+")


@router.get("/{path:path}", include_in_schema=False)
def page(request: Request, path: str) -> Response:
    """A built file, or `index.html` for every other address of one part; deeper ones lead to it.

    What may be asked for is listed from the folder itself, so no address leads out of it.
    """
    if path == "api" or path.startswith("api/"):
        raise UnknownError("there is nothing under this address: see api/openapi.json for all that is there")
    files = {file.relative_to(BUILT).as_posix(): file for file in BUILT.rglob("*") if file.suffix in _KINDS}
    if path in files:
        file = files[path]
        return encoded(request, file.read_bytes(), _KINDS[file.suffix], lasting=bool(_HASHED.fullmatch(path)))
    if path.startswith("assets/") or Path(path).suffix in _KINDS:
        raise UnknownError("there is no such file in the page: reload it, it may be of an older release")
    if "/" in path:  # the page's own addresses are relative and would be looked up below this one
        return RedirectResponse(f"{request.scope.get('root_path', '')}/", 307)
    if "index.html" not in files:
        return Response(_NOT_BUILT, 200, media_type="text/plain; charset=utf-8")
    return encoded(request, files["index.html"].read_bytes(), _KINDS[".html"])
