"""`api/sources/{source}`: the weights of a file or snapshot, described without reading any."""

from typing import Any

from fastapi import APIRouter, Request, Response

from weightsmith.names import by_depth, printable
from weightsmith.sources import Weight
from weightsmith.web.answer import answer
from weightsmith.web.served import Here

router = APIRouter()

_LONGEST = 10_000
"""Characters of a text of a file's metadata that are handed out."""


@router.get("/api/sources/{source}")
def source(request: Request, here: Here, source: str) -> Response:
    """Format, metadata and the list of weights; a weight's index is what other addresses take.

    `content` is what `SOURCE@CONTENT` names these very values by, null for live models. `depth` is a weight's
    place in the model's order: files often list layer 10 before layer 2.
    """
    opened = here.library.source(source)
    depth = {name: place for place, name in enumerate(by_depth([weight.name for weight in opened.weights]))}
    metadata = {printable(key): printable(value[:_LONGEST]) for key, value in opened.source.metadata.items()}
    return answer(
        request,
        {
            "id": opened.id,
            "content": opened.tag,
            "label": printable(opened.source.label),
            "format": opened.source.file_format,
            "metadata": metadata,
            "weights": [
                {**described(place, weight), "depth": depth[weight.name]} for place, weight in enumerate(opened.weights)
            ],
            "aside": [
                {"name": printable(item.name), "reason": printable(item.reason), "bytes": item.nbytes}
                for item in opened.source.aside
            ],
        },
    )


def described(index: int, weight: Weight) -> dict[str, Any]:
    """What is known of a weight without reading it."""
    info = weight.info
    return {
        "index": index,
        "name": printable(info.name),
        "shape": list(info.shape),
        "dtype": info.dtype,
        "role": info.role,
        "elements": info.size,
        "bytes": weight.nbytes,
        "tied_to": None if info.tied_to is None else printable(info.tied_to),
    }
