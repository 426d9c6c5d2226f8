"""Checking a recipe's names and options against the tables of the other parts, and spelling out their defaults.

The tables load torch; a recipe is only made with this module's help when its names are looked at.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from weightsmith.errors import InputError
from weightsmith.names import choose, suggestion
from weightsmith.train.recipe.complaints import shown, unknown_field
from weightsmith.train.recipe.fields import Patterns
from weightsmith.train.recipe.names import BUILT_IN_DATA
from weightsmith.train.recipe.typed import wrong_options

if TYPE_CHECKING:
    from weightsmith.optim import OptimizerInfo, ScheduleInfo
    from weightsmith.optim.options import Option
    from weightsmith.train.recipe.recipe import Recipe

_SELECTION = {"include": (Patterns, ["*"]), "exclude": (Patterns, [])}
"""Options that every kind has."""


def mistakes(recipe: "Recipe") -> list[str]:
    """One line for each name or option of a recipe that no table has."""
    found: list[str] = []
    for check in (_check_data, _check_model, _check_init, _check_kind, _check_optimizer, _check_schedule):
        try:
            found += check(recipe)
        except InputError as error:
            found += str(error).split("\n")
    return found


def spelled_out(recipe: "Recipe") -> dict[str, Any]:
    """Plain values of every field of a recipe, the defaults of its names included.

    Options of an init scheme stay as given: what is left out follows from the network.
    """
    plain = recipe.model_dump()
    if plain["data"]["path"] is not None:
        plain["data"]["path"] = str(Path(plain["data"]["path"]).expanduser().resolve())
    plain["init"] = {name: value for name, value in plain["init"].items() if value is not None}
    plain["record"] = False if recipe.record is None else plain["record"]
    if not mistakes(recipe):
        _fill_model(recipe, plain)
        _fill_optimizer(recipe, plain["optimizer"])
        _fill_schedule(recipe, plain["schedule"])
        plain["kind"] = {**plain["kind"], **_kind_defaults(recipe), **recipe.kind.options}
    return plain


def _check_data(recipe: "Recipe") -> list[str]:
    given = recipe.data.name
    if given is None or given in BUILT_IN_DATA:
        return []
    known = ", ".join(BUILT_IN_DATA)
    close = suggestion(given, BUILT_IN_DATA)
    return [f"data: unknown data '{given}': choose from {known}, or the path of a file or folder{close}"]


def _check_model(recipe: "Recipe") -> list[str]:
    from weightsmith.train.models.custom import check_form, is_custom
    from weightsmith.train.models.table import default_batch_norm, find_model, read_options, takes_batch_norm

    choice = recipe.model
    if is_custom(choice.name):
        check_form(choice.name)
        return []
    info = find_model(choice.name)
    found = ["model.folder: is for a model of the form package.module:function"] if choice.folder is not None else []
    if recipe.batch_norm and not takes_batch_norm(info):
        found.append(f"batch_norm: model {info.name} has no place for it; leave it null")
    if recipe.batch_size == 1 and (default_batch_norm(info) if recipe.batch_norm is None else recipe.batch_norm):
        found.append("batch_size: batch normalization needs 2 or more, got 1: raise it, or set batch_norm: false")
    options = dict(choice.model_extra or {})
    if "batch_norm" in options:
        del options["batch_norm"]
        found.append("model.batch_norm: is a field of its own: set batch_norm at the top level of the recipe")
    try:
        read_options(info, options)
    except InputError as error:
        found += str(error).split("\n")
    return found


def _fill_model(recipe: "Recipe", plain: dict[str, Any]) -> None:
    from weightsmith.train.models.custom import is_custom
    from weightsmith.train.models.table import default_batch_norm, find_model, read_options

    if is_custom(recipe.model.name):
        return
    info = find_model(recipe.model.name)
    plain["model"] |= read_options(info, recipe.model.options)
    if recipe.batch_norm is None:
        plain["batch_norm"] = default_batch_norm(info)


def _check_init(recipe: "Recipe") -> Iterator[str]:
    from weightsmith.init.schemes import RULES, find_scheme

    wishes = recipe.init.weights
    for pattern, wish in ({"": recipe.init.scheme} if wishes is None else wishes).items():
        path = f"init.{pattern}" if pattern else "init"
        name, options = _named(wish, path)
        if name in RULES:
            yield from (unknown_field(path, option, []) for option in options)
            continue
        try:
            scheme = find_scheme(name)
            types = get_type_hints(scheme.function)
            yield from wrong_options(path, {option: (types[option], None) for option in scheme.options}, options)
            scheme.completed({option: value for option, value in options.items() if option in scheme.options})
        except InputError as error:
            yield f"{path}: {error}"


def _named(wish: Any, path: str) -> tuple[str, dict[str, Any]]:
    if isinstance(wish, str):
        return wish, {}
    if isinstance(wish, Mapping) and isinstance(wish.get("name"), str):
        return wish["name"], {key: value for key, value in wish.items() if key != "name"}
    raise InputError(f"{path}: must be a scheme's name or {{name: ..., option: ...}}, got {shown(wish)}")


def _optimizer_info(recipe: "Recipe") -> "OptimizerInfo":
    from weightsmith.optim.catalog import ALIASES, OPTIMIZERS

    name = choose(recipe.optimizer.name, [*OPTIMIZERS, *ALIASES], "optimizer")
    return OPTIMIZERS[ALIASES.get(name, name)]


def _check_optimizer(recipe: "Recipe") -> Iterator[str]:
    try:
        info = _optimizer_info(recipe)
    except InputError as error:
        yield f"optimizer: {error}"
        return
    own = ("lr", "weight_decay", "clip_norm", "clip_value")
    yield from _check_options("optimizer", info.options, recipe.optimizer.model_extra or {}, own)


def _fill_optimizer(recipe: "Recipe", plain: dict[str, Any]) -> None:
    info = _optimizer_info(recipe)
    plain |= _settings(info.options, recipe.optimizer.options)
    plain["lr"] = info.lr if recipe.optimizer.lr is None else recipe.optimizer.lr
    if recipe.optimizer.weight_decay is None:
        plain["weight_decay"] = info.weight_decay


def _schedule_info(recipe: "Recipe") -> "ScheduleInfo":
    from weightsmith.optim.schedules import SCHEDULES

    return SCHEDULES[choose(recipe.schedule.name, SCHEDULES, "schedule")]


def _check_schedule(recipe: "Recipe") -> Iterator[str]:
    try:
        info = _schedule_info(recipe)
    except InputError as error:
        yield f"schedule: {error}"
        return
    yield from _check_options("schedule", info.options, recipe.schedule.model_extra or {}, ["warm_up"])
    if recipe.budget.seconds is None:
        return
    warm_up = info.warm_up if recipe.schedule.warm_up is None else recipe.schedule.warm_up
    if info.needs_total and not recipe.schedule.options.get("every"):
        yield f"schedule: {info.name} must know the number of steps: give the budget in epochs or steps, not in seconds"
    elif 0 < warm_up < 1:
        yield f"schedule.warm_up: {warm_up:g} of a budget in seconds is no number of steps: give 1 or more"


def _fill_schedule(recipe: "Recipe", plain: dict[str, Any]) -> None:
    info = _schedule_info(recipe)
    plain |= _settings(info.options, recipe.schedule.options)
    if recipe.schedule.warm_up is None:
        plain["warm_up"] = info.warm_up


def _check_options(
    part: str, known: Mapping[str, "Option"], given: Mapping[str, Any], own: Sequence[str] = ()
) -> Iterator[str]:
    """A line for each option that is unknown or not allowed; `own` are fields that the part has whatever its name."""
    for name, value in given.items():
        if name not in known:
            yield unknown_field(part, name, [*own, *known])
        elif value is not None and not known[name].accepts(value):
            yield f"{part}.{name}: must be {known[name].allowed}, got {shown(value)}"


def _settings(known: Mapping[str, "Option"], given: Mapping[str, Any]) -> dict[str, Any]:
    """Every option as given, else its default, as YAML holds it."""
    values = {name: given.get(name, option.default) for name, option in known.items()}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _check_kind(recipe: "Recipe") -> Iterator[str]:
    from weightsmith.kinds import KINDS

    try:
        kind = KINDS[choose(recipe.kind.name, KINDS, "kind")].of_method(recipe.kind.options)
    except InputError as error:
        yield f"kind: {error}"
        return
    known = {name: (hint, kind.defaults.get(name, ...)) for name, hint in kind.types.items()}
    wrong = wrong_options("kind", {**_SELECTION, **known}, recipe.kind.model_extra or {})
    yield from wrong
    if not wrong:
        try:
            kind.check({name: value for name, value in recipe.kind.options.items() if name not in _SELECTION})
        except InputError as error:
            yield f"kind: {error}"


def _kind_defaults(recipe: "Recipe") -> dict[str, Any]:
    from weightsmith.kinds import KINDS

    kind = KINDS[recipe.kind.name].of_method(recipe.kind.options)
    return {**{name: default for name, (_, default) in _SELECTION.items()}, **kind.defaults}
