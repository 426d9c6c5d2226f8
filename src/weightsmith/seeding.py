"""Where a weight's random numbers come from: the one place that decides it."""

from hashlib import blake2b

import torch


def generator_for(seed: int, name: str) -> torch.Generator:
    """A CPU generator that depends on the seed and the weight's name alone.

    Adding, removing or reordering other layers therefore changes no draw, and neither does the device of the model.
    """
    digest = blake2b(f"{seed}\0{name}".encode(), digest_size=8).digest()
    # torch takes seeds up to 2**63 - 1 without folding
    return torch.Generator().manual_seed(int.from_bytes(digest, "big") >> 1)
