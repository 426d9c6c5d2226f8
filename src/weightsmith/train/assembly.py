"""Putting a training together: data, model, initial weights, kinds, penalties, optimizer, schedule."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from weightsmith import init, kinds, optim
from weightsmith.errors import InputError
from weightsmith.kinds import KindController
from weightsmith.optim import Schedule, clip_by_norm, clip_by_value
from weightsmith.train.batches import bounds, order
from weightsmith.train.budget import planned_steps
from weightsmith.train.data import Data, Split, load_data
from weightsmith.train.feed import Feed
from weightsmith.train.models import build_model
from weightsmith.train.objective import OBJECTIVES, Objective
from weightsmith.train.penalize import loss_penalties, loss_term, proximal_penalties, with_kind
from weightsmith.train.processes import Processes
from weightsmith.train.recipe import Recipe

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(eq=False)
class Assembly:
    """The moving parts of one training.

    Attributes:
        recipe: the description.
        data: the rows.
        objective: loss and metric.
        fabric: device and precision.
        processes: who trains along.
        module: the bare model; its state is what a checkpoint holds.
        model: the model as it is called in training (precision, DDP).
        optimizer: the bare optimizer.
        stepper: the optimizer as it steps (loss scaling in 16 bits).
        backward: as Fabric does it, or plain where Fabric would add nothing but its own time.
        schedule: of the learning rate; None where it is constant.
        kinds: what the weights' kind has to do after each step; None for plain continuous weights.
        penalty: what is added to the loss, or None.
        weights: the parameters whose gradients are clipped.
    """

    recipe: Recipe
    data: Data
    objective: Objective
    fabric: "Fabric"
    processes: Processes
    module: nn.Module
    model: Callable[[Tensor], Tensor]
    optimizer: Optimizer
    stepper: Any
    backward: Callable[[Tensor], Any]
    schedule: Schedule | None
    kinds: KindController | None
    penalty: Callable[[], Tensor] | None
    weights: list[Tensor]

    @property
    def sparse_rows(self) -> bool:
        """Whether sparse rows reach the model as they are: where it takes them, on one CPU process in 32 bits."""
        plain = self.processes.count == 1 and self.recipe.precision == 32 and self.fabric.device.type == "cpu"
        return plain and getattr(self.module, "takes_sparse_rows", False)

    def feed(self, split: Split) -> Feed:
        """Batches of a split as the model takes them."""
        return Feed(split, self.fabric.device, self.sparse_rows)

    def update(self, loss: Tensor, progress: float) -> None:
        """One update of the weights.

        Args:
            loss: this process's part of the batch's mean loss.
            progress: share of the training that is over after it.
        """
        self.optimizer.zero_grad()
        # DDP averages gradients over processes, and these parts are to be added up
        objective = loss * self.processes.count if self.processes.count > 1 else loss
        if self.penalty is not None:
            objective = objective + self.penalty()
        self.backward(objective)
        if self.scaler is not None:
            # by the bare optimizer, whose step asks whether it was done; kinds and clipping need the true gradients
            self.scaler.unscale_(self.optimizer)
        if self.kinds is not None:
            self.kinds.collect()
        self._clip()
        self.stepper.step()
        if self.schedule is not None:
            self.schedule.step()
        if self.kinds is not None:
            self.kinds.step(progress)

    def _clip(self) -> None:
        clip = self.recipe.optimizer
        if clip.clip_value is not None:
            clip_by_value(self.weights, clip.clip_value)
        if clip.clip_norm is not None:
            clip_by_norm(self.weights, clip.clip_norm)

    @property
    def scaler(self) -> "torch.amp.GradScaler | None":
        """What scales the loss: float16 on a GPU needs it."""
        return getattr(self.fabric.strategy.precision, "scaler", None)

    def observe(self, loss: float, metric: float) -> None:
        """Show the schedule an epoch's validation scores, the same on every process; `reduce_on_plateau` reacts."""
        if self.schedule is not None:
            self.schedule.observe(metric if self.recipe.schedule.options.get("mode") == "max" else loss)

    def learning_rate(self) -> float:
        """That of the first parameter group."""
        return float(self.optimizer.param_groups[0]["lr"])

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return {
            "model": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": None if self.schedule is None else self.schedule.state_dict(),
            "kinds": None if self.kinds is None else self.kinds.state_dict(),
            "precision": self.fabric.strategy.precision.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned.

        Raises:
            InputError: the weights do not fit the model, which has changed since.
        """
        try:
            self.module.load_state_dict(state["model"])
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"the checkpoint does not fit the model, which has changed since: {reason}") from None
        self.optimizer.load_state_dict(state["optimizer"])
        if self.schedule is not None:
            self.schedule.load_state_dict(state["schedule"])
        if self.kinds is not None:
            self.kinds.load_state_dict(state["kinds"])
        if state["precision"]:  # a run that began on a CPU has scaled no loss
            self.fabric.strategy.precision.load_state_dict(state["precision"])


def assemble(recipe: Recipe, fabric: "Fabric", data: Data | None, model: nn.Module | None) -> Assembly:
    """Build every part that the recipe describes, on the device.

    Args:
        recipe: the description.
        fabric: launched.
        data: instead of the recipe's.
        model: instead of the recipe's; it is initialized as the recipe says and trained in place.

    Raises:
        InputError: parts that do not fit each other.
        SourceError: data that cannot be read.
    """
    processes = Processes(fabric.global_rank, fabric.world_size, fabric.device)
    data = load_data(recipe) if data is None else data
    if len(data.train) == 0:
        raise InputError(f"{data.name}: there are no training rows")
    if len(data.train) < processes.count or recipe.batch_size < processes.count:
        rows, size = len(data.train), recipe.batch_size
        raise InputError(
            f"{processes.count} processes cannot share batches of {size} of {rows} training rows: use fewer"
        )
    # all that comes before the first step is done on the CPU, so that it does not depend on the device
    module = build_model(recipe, data) if model is None else model.cpu()
    sample, _ = data.train.batch(torch.arange(min(2, len(data.train))))
    init.apply(module, recipe.init.scheme, sample=sample, seed=recipe.seed)
    kind = _apply_kind(module, recipe, data)
    if fabric.device.type == "cuda" and processes.count > 1:
        module = nn.SyncBatchNorm.convert_sync_batchnorm(module)  # type: ignore[no-untyped-call]
    module.train()
    wrapped = fabric.setup_module(module)
    optimizer = _build_optimizer(module, recipe, kind)
    # in one process and 32 bits Fabric's wrappers change nothing, and take a tenth of a millisecond a step
    is_plain = processes.count == 1 and recipe.precision == 32
    return Assembly(
        recipe=recipe,
        data=data,
        objective=OBJECTIVES[data.task],
        fabric=fabric,
        processes=processes,
        module=module,
        model=module if is_plain else wrapped,
        optimizer=optimizer,
        stepper=fabric.setup_optimizers(optimizer) if recipe.precision == 16 else optimizer,
        backward=torch.Tensor.backward if is_plain else fabric.backward,
        schedule=_build_schedule(optimizer, recipe, len(bounds(len(data.train), recipe.batch_size, processes.count))),
        kinds=kind,
        penalty=loss_term(module, loss_penalties(recipe), kind),
        weights=[weight for weight in module.parameters() if weight.requires_grad],
    )


def _build_optimizer(module: nn.Module, recipe: Recipe, kind: KindController | None) -> Optimizer:
    chosen = recipe.optimizer
    optimizer = optim.build(
        module,
        chosen.name,
        chosen.lr,
        weight_decay=chosen.weight_decay,
        penalties=with_kind(proximal_penalties(recipe), kind),
        **chosen.options,
    )
    if kind is not None:
        kind.attach(optimizer)
    return optimizer


def _build_schedule(optimizer: Optimizer, recipe: Recipe, steps_per_epoch: int) -> Schedule | None:
    chosen = recipe.schedule
    if chosen.name == "constant" and not chosen.warm_up:
        return None
    steps = planned_steps(recipe.budget, steps_per_epoch)
    return optim.build_schedule(optimizer, chosen.name, steps, warm_up=chosen.warm_up, **chosen.options)


def _apply_kind(module: nn.Module, recipe: Recipe, data: Data) -> KindController | None:
    """Give the weights their kind; None where they are continuous without bounds, which takes no work after a step."""
    chosen = recipe.kind
    bounds_given = [value for name, value in chosen.options.items() if name not in ("include", "exclude")]
    if chosen.name == "continuous" and all(value is None or value is False for value in bounds_given):
        return None
    kind = kinds.KINDS[chosen.name].of_method(chosen.options)
    seeded = {"seed": recipe.seed} if "seed" in kind.options else {}
    evidence = _evidence(str(kind.defaults.get("method", "")), recipe, data)
    return kinds.apply(module, chosen.name, data=evidence, **{**seeded, **chosen.options})


def _evidence(method: str, recipe: Recipe, data: Data) -> dict[str, Any]:
    """What a method of sparse weights looks at before training: the first batch, the same in every process."""
    needed = kinds.METHODS[method].needs if method in kinds.METHODS else ""
    if not needed:
        return {}
    rows = torch.from_numpy(order(len(data.train), recipe.seed, 0)[: recipe.batch_size])
    inputs, targets = data.train.batch(rows)
    if needed == "samples":
        return {"samples": [inputs]}
    objective = OBJECTIVES[data.task]
    return {"loss": lambda model: objective.loss(model(inputs), targets) / len(rows)}
