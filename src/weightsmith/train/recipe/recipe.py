"""The recipe itself: sixteen parts, checked when it is made."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from weightsmith.errors import InputError
from weightsmith.train.recipe.complaints import lines
from weightsmith.train.recipe.fields import (
    Budget,
    Count,
    DataChoice,
    InitChoice,
    KindChoice,
    ModelChoice,
    OptimizerChoice,
    Penalties,
    Record,
    ScheduleChoice,
)
from weightsmith.train.recipe.names import Task


def _as_precision(given: Any) -> Any:
    return int(given) if given in ("32", "16") else given


def _as_record(given: Any) -> Any:
    return {} if given in (True, None) else None if given is False else given


class Recipe(BaseModel):
    """The full description of one training. Every field has a default; `Recipe()` trains an MLP on `digits`.

    Two recipes are equal when `effective()` is: when they describe the same training.

    Attributes:
        data: where the rows come from.
        task: what is predicted; null: inferred from the targets.
        model: which network.
        init: how its weights start.
        kind: what values they may take.
        optimizer: how they move.
        schedule: how the learning rate changes.
        penalties: what holds them back.
        batch_norm: batch normalization on or off; null: the model's default.
        budget: how long to train.
        batch_size: rows in one step.
        precision: 32, or mixed with bf16 or 16 bits.
        seed: of the split, the initial weights and the order of rows.
        threads: CPU threads; null: all that the process may use.
        device: where to train; auto: the GPU if there is one.
        record: what the recorder may cost and keeps; false: record nothing (None in Python).

    Raises:
        InputError: one line for each mistake.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    data: DataChoice = Field(default_factory=lambda: DataChoice(name="digits"))
    task: Task | None = None
    model: ModelChoice = Field(default_factory=ModelChoice)
    init: InitChoice = Field(default_factory=InitChoice)
    kind: KindChoice = Field(default_factory=KindChoice)
    optimizer: OptimizerChoice = Field(default_factory=OptimizerChoice)
    schedule: ScheduleChoice = Field(default_factory=ScheduleChoice)
    penalties: Penalties = Field(default_factory=Penalties)
    batch_norm: bool | None = None
    budget: Budget = Field(default_factory=lambda: Budget.model_validate({}))
    batch_size: Count = 32
    precision: Annotated[Literal[32, 16, "bf16"], BeforeValidator(_as_precision)] = 32
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    record: Annotated[Record | None, BeforeValidator(_as_record)] = Field(default_factory=Record)

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise InputError("\n".join(lines(error, Recipe))) from None

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Self:
        """The recipe that a mapping of plain values describes, its names and options checked."""
        unnamed = [key for key in given if not isinstance(key, str)]
        if unnamed:
            raise InputError(f"{unnamed[0]!r}: a recipe's keys are field names")
        recipe = cls(**given)
        recipe.check()
        return recipe

    def check(self) -> None:
        """Check every name and option against the tables of models, schemes, kinds, optimizers and schedules.

        Raises:
            InputError: one line for each mistake.
        """
        from weightsmith.train.recipe.tables import mistakes

        found = mistakes(self)
        if found:
            raise InputError("\n".join(found))

    def effective(self) -> dict[str, Any]:
        """Plain values of every field with each default spelled out; `from_dict` makes an equal recipe of them."""
        from weightsmith.train.recipe.tables import spelled_out

        return spelled_out(self)

    def to_yaml(self) -> str:
        """`effective()` as YAML."""
        from weightsmith.train.recipe.text import dump

        return dump(self.effective())

    def given(self) -> dict[str, Any]:
        """Plain values of those fields alone that were given."""
        plain = self.model_dump(exclude_unset=True)
        return {**plain, "record": False} if self.record is None else plain

    def override(self, assignments: Iterable[str]) -> Self:
        """A recipe with some fields changed, as the command line's `--set` does.

        Args:
            assignments: `path=value`, such as `optimizer.lr=0.01`; the value is read as YAML.

        Raises:
            InputError: for an assignment without `=`, an unknown field or a value that is not allowed.
        """
        from weightsmith.train.recipe.override import assign

        return self.from_dict(assign(self.given(), assignments))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recipe) and self.effective() == other.effective()

    __hash__ = None  # type: ignore[assignment]
