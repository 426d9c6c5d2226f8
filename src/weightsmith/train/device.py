"""The machine a training runs on: device, precision and processes (Lightning Fabric), threads, seeds, determinism."""

import logging
import os
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from weightsmith.errors import InputError
from weightsmith.train.recipe import Recipe

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Precision = Literal["32-true", "16-mixed", "bf16-mixed"]
PRECISIONS: dict[int | str, Precision] = {32: "32-true", 16: "16-mixed", "bf16": "bf16-mixed"}


def uses_gpu(recipe: Recipe) -> bool:
    """Whether a recipe is trained on a GPU here.

    Raises:
        InputError: it asks for one and there is none.
    """
    if recipe.device == "cuda" and not torch.cuda.is_available():
        raise InputError("device: cuda, but torch finds no GPU: use device: cpu, or auto")
    return recipe.device != "cpu" and torch.cuda.is_available()


def connect(recipe: Recipe) -> "Fabric":
    """Fabric on the recipe's device and precision: one process, or all those that `torchrun` started (DDP).

    CPUs have no arithmetic for 16 bits that trains: they use bfloat16 for it.

    Raises:
        InputError: the recipe asks for a GPU and there is none, or there are fewer than processes.
    """
    cuda = uses_gpu(recipe)
    if cuda:
        # cuBLAS is deterministic only with a fixed workspace, chosen before its first call
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments.lightning import LightningEnvironment
    from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

    processes = int(os.environ.get("WORLD_SIZE", "1")) if TorchElasticEnvironment.detect() else 1
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if processes > 1 else 1
    if cuda and here > (found := torch.cuda.device_count()):
        raise InputError(f"{here} processes need as many GPUs, and torch finds {found}: start fewer")
    with _without_advice():
        fabric = Fabric(
            accelerator="cuda" if cuda else "cpu",
            devices=here,
            num_nodes=processes // here,
            strategy="ddp" if processes > 1 else "auto",
            precision=PRECISIONS[recipe.precision],
            plugins=[TorchElasticEnvironment() if processes > 1 else LightningEnvironment()],
        )
        fabric.launch()
    return fabric


@contextmanager
def _without_advice() -> Iterator[None]:
    """Context in which Fabric does not talk about hardware and clusters that the recipe has already decided on."""
    logger = logging.getLogger("lightning_fabric")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def seed_everything(seed: int, rank: int = 0) -> None:
    """Seed torch, NumPy and Python. Processes get different streams, so that their dropout masks differ."""
    drawn = np.random.SeedSequence((seed, rank)).generate_state(3)
    torch.manual_seed(int(drawn[0]))
    np.random.seed(int(drawn[1]))  # noqa: NPY002 - a user's model may draw from the global generator
    random.seed(int(drawn[2]))


@contextmanager
def reproducible(threads: int, gpu: bool) -> Iterator[None]:
    """Context with a fixed number of threads and deterministic algorithms where torch has them; restores both.

    Args:
        threads: of torch on the CPU.
        gpu: whether a GPU trains.
    """
    before = torch.get_num_threads()
    deterministic, warn_only = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    fill = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    # filling new memory guards against reading it unset, which no operation of a training does, and costs bandwidth
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        # the gradients of fused attention depend on the order in which a GPU's blocks come to an end
        with sdpa_kernel(SDPBackend.MATH) if gpu else nullcontext():
            yield
    finally:
        torch.utils.deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        torch.set_num_threads(before)
