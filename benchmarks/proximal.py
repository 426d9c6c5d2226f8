"""A proximal Adam step against Adam with an L1 term in the loss: `python benchmarks/proximal.py`.

Both use PyTorch's fused Adam. Timed are the optimizer step (with the proximal step in it) on one side, the step plus
the L1 term's forward and backward pass on the other; gradients of the loss itself are given, so that nothing else is
in the way. Rounds are interleaved, and the ratio of their medians is reported: below 1 the proximal step is faster.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from weightsmith.optim import Proximal
from weightsmith.penalties import L1

STRENGTH = 1e-5


def models() -> dict[str, Callable[[], nn.Module]]:
    return {
        "MLP 784-300-100-10": lambda: nn.Sequential(
            nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10)
        ),
        "matrix 4096x1024": lambda: nn.Linear(1024, 4096, bias=False),
    }


def proximal_step(model: nn.Module) -> Callable[[], None]:
    optimizer = Proximal(torch.optim.Adam(model.parameters(), fused=True), L1(STRENGTH), model)
    return optimizer.step


def plain_step(model: nn.Module) -> Callable[[], None]:
    return torch.optim.Adam(model.parameters(), fused=True).step


def loss_term_step(model: nn.Module) -> Callable[[], None]:
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    weights = [parameter for parameter in model.parameters() if parameter.ndim > 1]

    def step() -> None:
        torch.stack([weight.abs().sum() for weight in weights]).sum().mul(STRENGTH).backward()
        optimizer.step()

    return step


def prepare(model: nn.Module, make: Callable[[nn.Module], Callable[[], None]]) -> Callable[[], float]:
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter) * 1e-3
    step = make(model)

    def timed() -> float:
        start = time.perf_counter()
        step()
        return time.perf_counter() - start

    return timed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=200)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for name, make in models().items():
        contenders = {
            label: prepare(make(), way)
            for label, way in (("plain", plain_step), ("proximal", proximal_step), ("loss term", loss_term_step))
        }
        times: dict[str, list[float]] = {label: [] for label in contenders}
        for _ in range(arguments.rounds + 10):
            for label, timed in contenders.items():
                times[label].append(timed())
        medians = {label: statistics.median(series[10:]) * 1e6 for label, series in times.items()}
        print(
            f"{name}: "
            + ", ".join(f"{label} {median:.0f} us" for label, median in medians.items())
            + f"; proximal / loss term {medians['proximal'] / medians['loss term']:.2f}"
        )


if __name__ == "__main__":
    main()
