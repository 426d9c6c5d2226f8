"""`.../explain/attribution` and `.../explain/maximized`: what outputs depend on, and what units like best."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response

from weightsmith.errors import InputError
from weightsmith.web.answer import encoded, number
from weightsmith.web.explained import Answers, Explained, answers, attributions, inputs_of, maximized
from weightsmith.web.inputs import heat, is_pictured, overall, picture, strongest
from weightsmith.web.routes.explain import answer_of, ask, at_once, subject
from weightsmith.web.served import Here
from weightsmith.web.work import Check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from weightsmith.explain import Attribution, Maximized

router = APIRouter()

Numbers = Annotated[str, Query(pattern=r"^[0-9]{1,9}(,[0-9]{1,9}){0,63}$")]
Name = Annotated[str, Query(max_length=300)]


@router.get("/api/stores/{store}/runs/{run}/explain/attribution")
async def attribution(
    request: Request,
    here: Here,
    store: str,
    run: str,
    rows: Numbers,
    method: Literal["saliency", "integrated-gradients", "grad-cam"] = "saliency",
    target: Annotated[int | None, Query(ge=0, le=1 << 40)] = None,
    layer: Name | None = None,
) -> Response:
    """For each row of `rows` (3,17) what an output depends on in its input: by default its largest output.

    Of images and sequences `heat` holds one signed value for each place of `picture`, by row; of plain features the
    strongest ones are told, with all rows together in `overall`.
    """
    found = await to_thread.run_sync(subject, here, store, run)
    chosen = tuple(dict.fromkeys(map(int, rows.split(","))))

    def compute(model: Explained, still_wanted: Check) -> dict[str, Any]:
        _refuse_many(len(chosen), at_once(model), "rows")
        results = attributions(model, method, chosen, target, layer, still_wanted)
        said = answers(model, chosen, still_wanted)
        _, original = inputs_of(model, chosen)
        told = [_explained(model, said, place, results[place], original[place]) for place in range(len(chosen))]
        plain = not is_pictured(original[0])
        return {
            "method": method,
            "layer": results[0].layer,
            "signed": results[0].signed,
            "rows": told,
            "overall": overall([one.values[0] for one in results], model.data.feature_names) if plain else None,
        }

    body = await ask(request, here, found, ("attribution", method, chosen, target, layer), compute)
    return encoded(request, body, "application/json")


@router.get("/api/stores/{store}/runs/{run}/explain/maximized")
async def maximized_inputs(
    request: Request, here: Here, store: str, run: str, units: Numbers, layer: Name = ""
) -> Response:
    """Inputs that excite the units of `units` (0,1,2) of a layer, by default of the model's output; always the same."""
    found = await to_thread.run_sync(subject, here, store, run)
    chosen = tuple(dict.fromkeys(map(int, units.split(","))))

    def compute(model: Explained, still_wanted: Check) -> dict[str, Any]:
        _refuse_many(len(chosen), at_once(model), "units")
        if layer not in {one.name for one in model.layers}:
            raise InputError("the model has no such layer with units to ask: see its layers")
        made = maximized(model, layer, chosen, still_wanted)
        return {"layer": layer, "units": [_liked(model, made, place) for place in range(len(chosen))]}

    body = await ask(request, here, found, ("maximized", layer, chosen), compute)
    return encoded(request, body, "application/json")


def _refuse_many(count: int, most: int, what: str) -> None:
    if count > most:
        raise InputError(f"{count} {what} are too many at once: name at most {most}")


def _explained(
    model: Explained, said: Answers, place: int, result: "Attribution", original: "NDArray[np.float32]"
) -> dict[str, Any]:
    told = answer_of(said, place) | {
        "target": int(result.targets[0]),
        "output": number(float(result.outputs[0])),
        "gap": None if result.gap is None else number(float(result.gap[0])),
    }
    if is_pictured(original):
        return told | {"picture": picture(original), "heat": heat(result.values[0], result.inputs[0])}
    return told | strongest(result.values[0], original, model.data.feature_names)


def _liked(model: Explained, made: "Maximized", place: int) -> dict[str, Any]:
    values = made.inputs[place]
    told = {
        "unit": int(made.units[place]),
        "before": number(float(made.before[place])),
        "after": number(float(made.after[place])),
    }
    if is_pictured(values):
        return told | {"picture": picture(values)}
    return told | strongest(values, values, model.data.feature_names)
