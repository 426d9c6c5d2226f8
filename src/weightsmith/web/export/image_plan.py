"""Which pages of rows as images are kept in a file."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from weightsmith.web.export.ask import Ask
from weightsmith.web.export.place import Asked, Place
from weightsmith.web.export.plan import Plan, Wanted, known

PART = "rows as images"


def shown_images(base: tuple[str, ...], place: Place) -> Iterator[Wanted]:
    """The page of images that a view shows, and the first one as it comes.

    Args:
        base: segments of the weight's address.
        place: the view.
    """
    first, channel = place.parameter("filter") or "0", place.parameter("channel") or "strongest"
    chosen = _parsed(place.parameter("image"))
    yield Wanted(Asked.at(*base, "filters", first=first, channel=channel, **chosen), PART)
    yield Wanted(Asked.at(*base, "filters", first=0, channel="strongest"), PART)


async def more_images(ask: Ask, base: tuple[str, ...], *, shapes: bool = True) -> Plan:
    """All pages in every shape and in color, then every single channel; of a wide convolution they are many.

    Args:
        ask: asks the application.
        base: segments of the weight's address.
        shapes: whether in other shapes than the usual one as well.
    """
    usual = await known(ask, Asked.at(*base, "filters"))
    for shape in ({}, *map(_shape, usual["choices"][1:] if shapes else [])):
        for wanted in _pages(base, usual, PART, channel="strongest", **shape):
            yield wanted
    if usual["channels"] == 3:
        colored = await known(ask, Asked.at(*base, "filters", channel="color"))
        for wanted in _pages(base, colored, PART, channel="color"):
            yield wanted
    for channel in range(usual["channels"] if usual["channels"] > 1 else 0):
        for wanted in _pages(base, usual, "single channels of the images", channel=str(channel)):
            yield wanted


async def first_images(ask: Ask, base: tuple[str, ...], place: Place) -> Plan:
    """The page of images that a view of a run shows, and all others in the shape that is usual.

    Other shapes, which nobody has chosen, are not offered.
    """
    chosen = bool(_parsed(place.parameter("image")))

    def trim(told: Any) -> Any:
        return told if chosen or "choices" not in told else told | {"choices": told["choices"][:1]}

    for wanted in shown_images(base, place):
        yield replace(wanted, trim=trim)
    async for wanted in more_images(ask, base, shapes=chosen):
        yield replace(wanted, trim=trim)


def _pages(base: tuple[str, ...], told: dict[str, Any], part: str, **parameters: str) -> Iterator[Wanted]:
    for first in range(0, told["total"], told["per_page"]):
        yield Wanted(Asked.at(*base, "filters", first=first, **parameters), part)


def _shape(choice: dict[str, Any]) -> dict[str, str]:
    last = "true" if choice["channels_last"] else "false"
    return {"height": str(choice["height"]), "width": str(choice["width"]), "channels_last": last}


def _parsed(image: str) -> dict[str, str]:
    """Parameters of a shape that the page's address names as `28x28` or, with its channels last, `28x28l`."""
    height, cross, width = image.removesuffix("l").partition("x")
    if not cross:
        return {}
    return {"height": height, "width": width, "channels_last": "true" if image.endswith("l") else "false"}
