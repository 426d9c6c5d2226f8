"""Which plan belongs to which view, and what a view is called."""

from weightsmith.names import printable
from weightsmith.web.export import plan
from weightsmith.web.export.ask import Ask
from weightsmith.web.export.compare_plan import compare, compared
from weightsmith.web.export.place import Asked, Place
from weightsmith.web.export.run_plan import run
from weightsmith.web.export.weight_plan import weight
from weightsmith.web.faults import UnknownError


def planned(ask: Ask, place: Place, budget: int) -> plan.Plan:
    """All that the view at a place needs, the most important first.

    Raises:
        UnknownError: the place is no view.
    """
    match place.path:
        case ():
            return plan.all_runs(ask)
        case ("run", store, run_id):
            return run(ask, store, run_id, place, budget)
        case ("source", source):
            return plan.source(ask, source)
        case ("source", source, "weight", index):
            return weight(ask, source, index, place, budget)
        case ("compare",):
            return compare(ask, place)
    raise UnknownError(f"the page has no view '{printable(str(place)[:80])}'")


async def title(ask: Ask, place: Place) -> str:
    """What the view at a place shows, as files and browsers call it; the page's name where it is no view."""
    match place.path:
        case ("run", store, run_id):
            detail = await plan.known(ask, Asked.at("stores", store, "runs", run_id))
            return printable(detail["name"] or detail["id"])
        case ("source", source):
            return await _label(ask, source)
        case ("source", source, "weight", index):
            detail = await plan.known(ask, Asked.at("sources", source, "weights", index))
            return f"{detail['name'] or 'unnamed weight'} of {await _label(ask, source)}"
        case ("compare",):
            return f"{_counted(place)} compared"
    return "runs"


async def _label(ask: Ask, source: str) -> str:
    label: str = (await plan.known(ask, Asked.at("sources", source)))["label"]
    return label.replace("\\", "/").rstrip("/").rpartition("/")[2] or label


def _counted(place: Place) -> str:
    """How many runs and checkpoints are compared, in words."""
    names = [name for name, _ in compared(place)]
    words = {"run": "run", "source": "checkpoint"}
    counts = [(names.count(name), word) for name, word in words.items() if name in names]
    return " and ".join(f"{count} {word}" + ("s" if count > 1 else "") for count, word in counts)
