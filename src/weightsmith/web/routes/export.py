"""`api/export`: a view of the page as one HTML file."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response

from weightsmith.web.export import Place, save
from weightsmith.web.served import Here

router = APIRouter()


@router.get("/api/export", responses={200: {"content": {"text/html": {}}}}, response_class=Response)
async def export(request: Request, here: Here, view: Annotated[str, Query(max_length=6000)] = "#/") -> Response:
    """The page with the answers that one of its views needs, as an attachment.

    `view` is what stands in the page's address from the `#` on. What has no room in 25 MB is left out.
    """
    place = Place.parsed(view)
    async with here.exports:
        saved = await save(request.app, place, request.receive)
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(saved.file_name)}",
        "Cache-Control": "no-store",
    }
    return Response(saved.html, headers=headers, media_type="text/html")
