"""Everything that is not `api`: the page itself, as it was built."""

from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from weightsmith.web.built import KINDS, built_file
from weightsmith.web.faults import UnknownError

router = APIRouter()

_NOT_BUILT: Final = b"The page is not built: run `npm ci && npm run build` in ui/, or install a released weightsmith.\n"


@router.get("/{path:path}", include_in_schema=False)
def page(request: Request, path: str) -> Response:
    """A built file, or `index.html` for every other address of one part; deeper ones lead to it."""
    if path == "api" or path.startswith("api/"):
        raise UnknownError("there is nothing under this address: see api/openapi.json for all that is there")
    if (file := built_file(request, path)) is not None:
        return file
    if path.startswith("assets/") or Path(path).suffix in KINDS:
        raise UnknownError("there is no such file in the page: reload it, it may be of an older release")
    if "/" in path:  # the page's own addresses are relative and would be looked up below this one
        return RedirectResponse(f"{request.scope.get('root_path', '')}/", 307)
    return built_file(request, "index.html") or Response(_NOT_BUILT, 200, media_type="text/plain; charset=utf-8")
