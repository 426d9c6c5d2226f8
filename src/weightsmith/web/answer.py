"""Answers: JSON with an ETag, compressed where that pays, and bytes."""

import gzip
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from weightsmith.names import printable

COMPRESSED = 1024
"""Bytes from which an answer is compressed."""

SHARED = 1 << 18
"""Bytes up to which an answer stays compressed for a while, for others who ask for the same."""


def answer(request: Request, data: Mapping[str, Any], status: int = 200) -> Response:
    """A JSON object; 304 without a body where the client has it already. NaN and infinities become null."""
    return encoded(request, as_json(data), "application/json", status)


def as_json(data: Mapping[str, Any]) -> bytes:
    """The object as compact JSON of ASCII alone, whatever characters names hold."""
    try:
        text = json.dumps(data, separators=(",", ":"), allow_nan=False, default=_plain)
    except ValueError:  # NaN or Inf somewhere: only then is it worth walking through it
        text = json.dumps(finite(data), separators=(",", ":"), allow_nan=False)
    return text.encode("ascii")


def encoded(request: Request, body: bytes, kind: str, status: int = 200, *, lasting: bool = False) -> Response:
    """Bytes with an ETag of their content, compressed from `COMPRESSED` bytes on where the client takes it.

    Args:
        request: asked for it.
        body: the bytes.
        kind: media type.
        status: HTTP status.
        lasting: whether the address never gives anything else, so that the client need not ask again.
    """
    headers = {
        "ETag": f'W/"{xxhash.xxh3_128_hexdigest(body)}"',
        "Cache-Control": "private, max-age=31536000, immutable" if lasting else "private, no-cache",
        "Vary": "Accept-Encoding",
    }
    if status == 200 and matches(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    if len(body) > COMPRESSED and "gzip" in request.headers.get("accept-encoding", ""):
        body, headers["Content-Encoding"] = (_zipped if len(body) < SHARED else zipped)(body), "gzip"
    return Response(body, status, headers, kind)


def zipped(body: bytes) -> bytes:
    """The bytes compressed, the same every time."""
    return gzip.compress(body, 5, mtime=0)


_zipped = lru_cache(maxsize=64)(zipped)


def matches(request: Request, tag: str) -> bool:
    """Whether the client says that it has the content of this ETag already."""
    given = request.headers.get("if-none-match", "")
    known = {part.strip().removeprefix("W/") for part in given.split(",")}
    return tag.removeprefix("W/") in known or given.strip() == "*"


def numbers(values: NDArray[Any], digits: int | None = None) -> list[Any]:
    """An array as nested lists; null for NaN and infinities.

    Args:
        values: of any real type and shape.
        digits: significant digits to keep; None for all.
    """
    wide = np.asarray(values, np.float64)
    good = np.isfinite(wide)
    listed: list[Any] = (wide if digits is None else _rounded(wide, digits)).tolist()
    return listed if good.all() else finite(listed)


def number(value: float | None) -> float | None:
    """The number, or None where it is not finite."""
    return None if value is None or not math.isfinite(value) else value


def moment(when: datetime | None) -> str | None:
    """A time as ISO 8601 in UTC."""
    return None if when is None else when.astimezone(UTC).isoformat(timespec="milliseconds")


def text(name: str | None) -> str | None:
    """A name from a file, with control and surrogate characters written out."""
    return None if name is None else printable(name)


def finite(value: Any) -> Any:
    """The same plain values, with None for each number that JSON has no word for."""
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (str, int)) else finite(_plain(value))


def _rounded(values: NDArray[np.float64], digits: int) -> NDArray[np.float64]:
    """The nearest numbers that are written with so many digits.

    Up to 22 a power of ten is exact in float64, and the quotient or product of a whole number with it is therefore the
    very number that a decimal text stands for. Numbers that need larger ones are left as they are.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        places = digits - 1 - np.floor(np.log10(np.abs(values)))
        powers = 10.0 ** np.minimum(np.abs(places), 22)
        rounded = np.where(places > 0, np.rint(values * powers) / powers, np.rint(values / powers) * powers)
    return np.where(np.abs(places) <= 22, rounded, values)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return moment(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    return str(value)
