"""`api/hello`: what is served here."""

from importlib.metadata import version

from fastapi import APIRouter, Request, Response

from weightsmith.names import printable
from weightsmith.web.answer import answer
from weightsmith.web.served import Here

router = APIRouter()


@router.get("/api/hello")
def hello(request: Request, here: Here) -> Response:
    """The version, the stores and the files, each with the id that all other addresses take."""
    stores = [{"id": key, "label": printable(store.label)} for key, store in here.library.stores.items()]
    files = [{"id": key, "label": printable(here.library.label(key)), "source": key} for key in here.library.files]
    return answer(request, {"version": version("weightsmith"), "stores": stores, "files": files})
