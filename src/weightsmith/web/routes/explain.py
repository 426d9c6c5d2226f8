"""`.../explain`: whether a run's model can be asked what it looks at, and the rows to ask it about."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response

from weightsmith.errors import InputError, MissingExtraError, SourceError, StoreError
from weightsmith.names import printable
from weightsmith.store import Run
from weightsmith.web.answer import answer, as_json, encoded, numbers
from weightsmith.web.explained import ANSWERED, Answers, Explained, answers, build, inputs_of
from weightsmith.web.faults import line_of
from weightsmith.web.inputs import is_pictured, picture, strongest
from weightsmith.web.served import Here, Served
from weightsmith.web.work import Check

router = APIRouter()

MOST = 64
"""Rows in one answer."""

TOP = 5
"""Classes of a row that are named, the likeliest first, and features of one that are."""

AT_ONCE = 16
"""Rows or units that are explained together."""

NUMBERS = 1 << 22
"""Values of inputs that are worked on together, or of answers that are kept; of large ones there are fewer."""


@dataclass(frozen=True)
class Subject:
    """A run to be explained.

    Attributes:
        run: as it is now.
        key: all that its model depends on. A run that goes on is written to all the time: only its snapshots count.
    """

    run: Run
    key: tuple[Any, ...]


@router.get("/api/stores/{store}/runs/{run}/explain")
async def explain(request: Request, here: Here, store: str, run: str) -> Response:
    """Methods, layers, kind of input and split; `possible` false with the `reason` where there is nothing to ask."""
    found = await to_thread.run_sync(subject, here, store, run)
    try:
        body = await ask(request, here, found, ("summary",), lambda model, _: _summary(model))
    except (InputError, MissingExtraError, SourceError, StoreError, OSError, MemoryError) as error:
        return answer(request, {"possible": False, "reason": line_of(error)})
    return encoded(request, body, "application/json")


@router.get("/api/stores/{store}/runs/{run}/explain/rows")
async def rows(
    request: Request,
    here: Here,
    store: str,
    run: str,
    first: Annotated[int, Query(ge=0, le=1 << 40)] = 0,
    count: Annotated[int, Query(ge=1, le=MOST)] = 24,
    wrong: bool = False,
) -> Response:
    """Rows with their label and the model's answer.

    With `wrong` only those that it gets wrong, the surest first; of predicted values all, those furthest off first.
    """
    found = await to_thread.run_sync(subject, here, store, run)

    def compute(model: Explained, still_wanted: Check) -> dict[str, Any]:
        first_rows = range(min(len(model.rows), ANSWERED, max(1, NUMBERS // model.data.outputs)))
        said = here.results.result(
            ("answers", *found.key), lambda: answers(model, first_rows, still_wanted), lambda one: one.nbytes
        )
        order = said.order if wrong else np.arange(len(said.rows))
        size = min(count, at_once(model, MOST))
        places = order[min(first, len(order)) : first + size].tolist()
        return {
            "total": len(order),
            "answered": len(said.rows),
            "wrong": len(said.order) if said.is_classes else None,
            "first": first,
            "per_page": size,
            "rows": _gallery(model, said, places),
        }

    body = await ask(request, here, found, ("rows", first, count, wrong), compute)
    return encoded(request, body, "application/json")


def subject(here: Served, store: str, run: str) -> Subject:
    """The run of an id, and what its model is kept under.

    Raises:
        UnknownError, StoreError: as `Library.run`.
    """
    found = here.library.run(store, run)
    kept = tuple((snapshot.step, snapshot.label) for snapshot in found.snapshots())
    return Subject(found, (store, found.id, "" if found.status == "running" else str(found.updated), kept))


async def ask(
    request: Request,
    here: Served,
    about: Subject,
    question: tuple[Any, ...],
    compute: Callable[[Explained, Check], dict[str, Any]],
) -> bytes:
    """JSON of what is asked of a run's model, which is built for the first question and kept for the next ones."""

    def work(still_wanted: Check) -> bytes:
        model = here.models.result(about.key, lambda: build(about.run, still_wanted), lambda built: built.nbytes)
        return as_json(compute(model, still_wanted))

    return await here.work.result(request, ("explain", *about.key, *question), work, len)


def at_once(model: Explained, most: int = AT_ONCE) -> int:
    """How many rows or units are worked on together."""
    return max(1, min(most, NUMBERS // max(int(np.prod(model.data.input_shape)), 1)))


def answer_of(said: Answers, place: int) -> dict[str, Any]:
    """Label and answer of one row: classes by number with the likeliest probabilities (none of NaN), or values."""
    told: dict[str, Any] = {"row": int(said.rows[place])}
    if not said.is_classes:
        truth, predicted = said.truth[place, :TOP], said.predicted[place, :TOP]
        return told | {"label": numbers(truth, 6), "predicted": numbers(predicted, 6)}
    told["label"] = int(said.truth[place])
    if np.isnan(said.predicted[place]).any():
        return told | {"predicted": None, "probabilities": []}
    order = np.argsort(-said.predicted[place], kind="stable")[:TOP]
    likely = [[int(one), float(f"{said.predicted[place, one]:.4g}")] for one in order]
    return told | {"predicted": likely[0][0], "probabilities": likely}


def _gallery(model: Explained, said: Answers, places: list[int]) -> list[dict[str, Any]]:
    if not places:
        return []
    given, original = inputs_of(model, said.rows[places].tolist())
    shown = []
    for place, standardized, values in zip(places, given, original, strict=True):
        if is_pictured(values):
            looks: dict[str, Any] = {"picture": picture(values)}
        else:
            looks = {"features": strongest(standardized, values, model.data.feature_names)["features"][:TOP]}
        shown.append(answer_of(said, place) | looks)
    return shown


def _summary(model: Explained) -> dict[str, Any]:
    data = model.data
    return {
        "possible": True,
        "reason": None,
        "methods": list(model.methods),
        "layers": [asdict(layer) for layer in model.layers],
        "input": "image" if data.is_image else "sequence" if data.is_sequence else "features",
        "input_shape": list(data.input_shape),
        "task": data.task,
        "standardized": data.target_standardization is not None,
        "outputs": model.output_names,
        "classes": None if data.class_names is None else [printable(str(name)) for name in data.class_names],
        "data": printable(data.name),
        "split": model.split,
        "rows": len(model.rows),
        "step": model.step,
        "note": model.note,
        "at_once": at_once(model),
    }
