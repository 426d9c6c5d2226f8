"""Where a weight's random numbers come from: the one place that decides it."""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b

import torch
from torch import nn


def generator_for(seed: int, name: str) -> torch.Generator:
    """A CPU generator that depends on the seed and the weight's name alone; draw with it into `device="cpu"`.

    Adding, removing or reordering other layers therefore changes no draw, and neither does the device of the model.
    """
    digest = blake2b(f"{seed}\0{name}".encode(), digest_size=8).digest()
    # torch takes seeds up to 2**63 - 1 without folding
    return torch.Generator().manual_seed(int.from_bytes(digest, "big") >> 1)


@contextmanager
def kept_random_state(model: nn.Module) -> Iterator[None]:
    """What a model draws inside, on the CPU or on its GPUs, leaves torch's own generators as they were."""
    gpus = {parameter.get_device() for parameter in model.parameters() if parameter.is_cuda}
    with torch.random.fork_rng(devices=sorted(gpus)):
        yield
