"""A small network of three matrices, the digits, and a training in full batches."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

from weightsmith.kinds import KindController


def _network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    layers = [nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(64, 10))


@pytest.fixture
def network() -> Callable[..., nn.Sequential]:
    """Linear layers 0, 3 and 6, batch-normed; the middle one is the one that becomes binary by default."""
    return _network


@pytest.fixture(scope="session")
def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels in [-1, 1] and labels."""
    pixels, labels = load_digits(return_X_y=True)
    return torch.tensor(pixels, dtype=torch.float32) / 8 - 1, torch.tensor(labels)


@pytest.fixture
def learn(digits) -> Callable[..., float]:
    """Train on three quarters of the digits in full batches; accuracy on the others in evaluation."""
    held_out = torch.arange(len(digits[1])) % 4 == 0

    def run(
        model: nn.Module,
        controller: KindController,
        optimizer: torch.optim.Optimizer,
        steps: int = 60,
        first: int = 0,
        last: int | None = None,
        forward: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> float:
        inputs, labels = (part[~held_out] for part in digits)
        model.train()
        for step in range(first, steps if last is None else last):
            optimizer.zero_grad()
            F.cross_entropy((forward or model)(inputs), labels).backward()
            optimizer.step()
            controller.step((step + 1) / steps)
        model.eval()
        with torch.no_grad():
            return float((model(digits[0][held_out]).argmax(1) == digits[1][held_out]).float().mean())

    return run
