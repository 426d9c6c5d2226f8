"""The application: every route, what errors become, and the guard in front."""

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from weightsmith.errors import WeightsmithError
from weightsmith.web import routes
from weightsmith.web.faults import line_of, status_of
from weightsmith.web.served import Served
from weightsmith.web.work import AbandonedError

_GONE = 499
"""What logs call a client that closed the connection; nobody receives it."""


def create_app(served: Served) -> FastAPI:
    """The addresses of one server, without the guard."""
    app = FastAPI(
        title="Weightsmith",
        description="What the page reads. Everything is read-only.",
        redirect_slashes=False,  # it would name the host that a proxy uses
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
        openapi_url="/api/openapi.json",
    )
    app.state.served = served
    for router in routes.ROUTERS:
        app.include_router(router)
    for kind in (WeightsmithError, OSError, MemoryError):
        app.add_exception_handler(kind, _explained)
    app.add_exception_handler(AbandonedError, _nobody)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(Exception, _explained)
    return app


async def _explained(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": line_of(error)}, status_of(error))


async def _nobody(_: Request, error: Exception) -> Response:
    return Response(status_code=_GONE)


async def _malformed(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    names = [part for part in first["loc"] if isinstance(part, str)]  # a number is a place among repeated ones
    where = names[-1] if names else "the request"
    return JSONResponse({"error": f"{where}: {first['msg'][:300]}"}, 422)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": str(error.detail)}, error.status_code)
