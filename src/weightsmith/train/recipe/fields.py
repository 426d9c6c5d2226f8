"""The parts of a recipe, one class a part: their fields, defaults and allowed values."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from weightsmith.train.recipe.complaints import complaint, shown
from weightsmith.train.recipe.names import DEFAULT_EPOCHS, is_path

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]


def _as_list(given: Any) -> Any:
    return [given] if isinstance(given, str) else list(given) if isinstance(given, tuple) else given


def _as_size(given: Any) -> Any:
    return [given, given] if isinstance(given, int) and not isinstance(given, bool) else _as_list(given)


def _as_text(given: Any) -> Any:
    return str(given) if isinstance(given, Path) else given


Patterns = Annotated[list[str], BeforeValidator(_as_list)]
"""One shell pattern over weight names, or a list of them."""

_Pixels = Annotated[int, Field(ge=1, le=4096)]
Size = Annotated[list[_Pixels], BeforeValidator(_as_size), Field(min_length=2, max_length=2)]
PathText = Annotated[str, BeforeValidator(_as_text), Field(min_length=1)]


class Part(BaseModel):
    """A mapping of the recipe whose keys are all known."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Choice(BaseModel):
    """A name from a table, with options that the table's entry defines: `adam` or `{name: adam, lr: 0.01}`."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, allow_inf_nan=False)

    name: str

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, given: Any) -> Any:
        if isinstance(given, str):
            return {"name": given}
        if isinstance(given, Mapping | cls):
            return given
        raise complaint(f"must be a name or a mapping {{name: ..., option: ...}}, got {shown(given)}")

    @property
    def options(self) -> dict[str, Any]:
        """What was given beside the fields that every choice of this part has; null counts as not given."""
        return {name: value for name, value in (self.model_extra or {}).items() if value is not None}


class DataChoice(Part):
    """Where the rows come from and how they are split and scaled; `load_data` documents each source.

    Attributes:
        name: a built-in set; exclusive with `path`.
        path: a file or folder.
        target: the column to predict (tables), or `even` to tell even digits from odd ones.
        exclude: columns of a table that are left out.
        validation: share of all rows (of the training rows, where the source publishes a test set) measured each epoch.
        test: share of all rows held out until the end; null: 0.15, or the test set that the source publishes.
        standardize: scale inputs by the mean and deviation of the training rows.
        sequence: read three-dimensional arrays as (row, time, feature), not as images; null: images.
        image_size: height and width that a folder of images is resized to; null: all images have one size already.
        color: read a folder of images as RGB (true) or grayscale (false); null: RGB if any image has color.
        missing: `refuse` missing values, or `impute` the training rows' median (numbers) or no category at all.
    """

    name: str | None = None
    path: PathText | None = None
    target: str | None = None
    exclude: Patterns = Field(default=[])
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.15
    test: Share | None = None
    standardize: bool = True
    sequence: bool | None = None
    image_size: Size | None = None
    color: bool | None = None
    missing: Literal["refuse", "impute"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_name_or_path(cls, given: Any) -> Any:
        if isinstance(given, Path):
            return {"path": str(given)}
        if isinstance(given, str):
            return {"path": given} if is_path(given, Path()) else {"name": given}
        if not isinstance(given, Mapping | cls):
            raise complaint(f"must be a name, a path or a mapping {{path: ..., option: ...}}, got {shown(given)}")
        if isinstance(given, Mapping) and given.get("name") is None and given.get("path") is None:
            return {**given, "name": "digits"}
        return given

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.name is not None and self.path is not None:
            raise complaint(f"give a name or a path, not both (name: {self.name}, path: {self.path})")
        if self.validation + (self.test or 0) >= 1:
            raise complaint(
                f"validation and test must leave rows to train on: {self.validation} + {self.test} is not below 1"
            )
        return self


class ModelChoice(Choice):
    """Which network: a name from `MODELS`, or `package.module:function` for the user's own.

    Attributes:
        name: the model.
        folder: where a module of the user's own is looked up; null: the recipe's folder.
    """

    name: str = "mlp"
    folder: PathText | None = None


class InitChoice(Choice):
    """How weights start: one scheme for all, or `{pattern: scheme}` for each weight.

    Attributes:
        name: the scheme; null where `weights` says it weight by weight.
        weights: shell pattern over weight names to scheme name, or to `{name: ..., option: ...}`.
    """

    name: str | None = "auto"  # type: ignore[assignment]
    weights: dict[str, Any] | None = None

    @model_validator(mode="before")
    @classmethod
    def _by_weight(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and given and not {"name", "weights"} & set(given):
            return {"name": None, "weights": dict(given)}
        if isinstance(given, Mapping) and given.get("weights") is not None:
            return {"name": None, **given}
        return given

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.name is None) == (self.weights is None):
            raise complaint("give one scheme or a mapping {pattern: scheme}")
        return self

    @property
    def scheme(self) -> str | dict[str, Any]:
        """What `weightsmith.init.apply` takes: a name, `{name: ..., option: ...}`, or patterns mapped to these."""
        if self.name is None:
            return dict(self.weights or {})
        return {"name": self.name, **self.options} if self.options else self.name


class KindChoice(Choice):
    """What values weights may take: continuous, binary, ternary or sparse.

    Its options, `include` and `exclude` among them, are what `weightsmith.kinds.apply` takes.
    """

    name: str = "continuous"


class OptimizerChoice(Choice):
    """How weights move.

    Attributes:
        name: the optimizer.
        lr: learning rate; null: the optimizer's own default.
        weight_decay: decay of the weights (never of biases and norms); null: the optimizer's own default.
        clip_norm: largest norm of all gradients together; null: no limit.
        clip_value: largest absolute value of a gradient; null: no limit.
    """

    name: str = "adam"
    lr: Positive | None = None
    weight_decay: NotNegative | None = None
    clip_norm: Positive | None = None
    clip_value: Positive | None = None


class ScheduleChoice(Choice):
    """How the learning rate changes.

    Attributes:
        name: the schedule.
        warm_up: how long the rate rises to its full value: steps (1 and above), or a share of the training (below 1);
            null: the schedule's own default.
    """

    name: str = "constant"
    warm_up: NotNegative | None = None


class ElasticNet(Part):
    """Strength of an L1 and an L2 penalty used as one."""

    l1: NotNegative = 0.0
    l2: NotNegative = 0.0


class GroupLasso(Part):
    """A penalty on the norm of whole rows, columns or filters, which makes them vanish together."""

    strength: NotNegative = 0.0
    by: Literal["rows", "columns", "filters"] = "rows"
    include: Patterns = Field(default=["*"])


class Penalties(Part):
    """What holds weights back; a strength of 0 and null are off.

    Attributes:
        l1: strength of the sum of absolute values.
        l2: strength of half the sum of squares.
        elastic_net: both at once.
        group_lasso: whole rows, columns or filters.
        max_norm: largest norm of the weights into one unit.
        orthogonality: strength of the distance from orthonormal rows.
        proximal: apply l1, l2, elastic_net and group_lasso as exact proximal steps (true) or add them to the loss
            (false); max_norm is always a projection after the step, orthogonality always a loss term.
    """

    l1: NotNegative = 0.0
    l2: NotNegative = 0.0
    elastic_net: ElasticNet | None = None
    group_lasso: GroupLasso | None = None
    max_norm: Positive | None = None
    orthogonality: NotNegative = 0.0
    proximal: bool = True


class Budget(Part):
    """How long to train; at most one of epochs, steps and seconds.

    Attributes:
        epochs: passes over the training rows; 20 where no unit is given.
        steps: updates of the weights.
        seconds: wall-clock time.
        early_stopping: epochs without a better validation score after which to stop; null: never.
        keep: the weights that count at the end: the `best` by validation loss, or the `last`.
    """

    epochs: Count | None = None
    steps: Count | None = None
    seconds: Positive | None = None
    early_stopping: Count | None = None
    keep: Literal["best", "last"] = "best"

    @model_validator(mode="before")
    @classmethod
    def _default(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and all(given.get(unit) is None for unit in ("epochs", "steps", "seconds")):
            return {**given, "epochs": DEFAULT_EPOCHS}
        return given

    @model_validator(mode="after")
    def _one_unit(self) -> Self:
        given = {
            unit: getattr(self, unit) for unit in ("epochs", "steps", "seconds") if getattr(self, unit) is not None
        }
        if len(given) > 1:
            named = " and ".join(f"{unit}: {value}" for unit, value in given.items())
            raise complaint(f"give one of epochs, steps and seconds, got {named}")
        return self


class Record(Part):
    """What the recorder may cost and what it keeps.

    Attributes:
        budget: largest share of the training time that recording may take.
        include: weights to record.
        exclude: weights to leave out.
        snapshots: keep all weights now and then.
    """

    budget: Annotated[float, Field(gt=0, le=1)] = 0.02
    include: Patterns = Field(default=["*"])
    exclude: Patterns = Field(default=[])
    snapshots: bool = True
