"""`.../order`: which row and column of the file stands where in a matrix that was put in order."""

from fastapi import APIRouter, Request, Response

from weightsmith.web.answer import as_json, encoded
from weightsmith.web.picture import Asked
from weightsmith.web.routes.weight import Index
from weightsmith.web.served import Here

router = APIRouter()


@router.get("/api/sources/{source}/weights/{index}/order")
def order(request: Request, here: Here, source: str, index: Index, picture: Asked) -> Response:
    """The file's numbers of rows and columns as they follow in the picture; null where they stand as in the file."""
    opened = here.library.source(source)
    rows = None if picture.rows is None else here.order(opened, index, "rows", picture.rows).tolist()
    columns = None if picture.columns is None else here.order(opened, index, "columns", picture.columns).tolist()
    return encoded(request, as_json({"rows": rows, "columns": columns}), "application/json")
