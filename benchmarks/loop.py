"""What our training loop costs beyond a bare PyTorch loop that does the same work: `python benchmarks/loop.py`.

The same 784-300-100-10 network, batch 128, fused Adam and one validation pass an epoch, on random data, one after the
other in turn; the median ratio counts. No progress shown, nothing recorded.
"""

import argparse
import json
import statistics
import time
from typing import Any

import torch
from torch import nn

from weightsmith.train import Recipe
from weightsmith.train.assembly import assemble
from weightsmith.train.data import Data, Split
from weightsmith.train.device import connect, reproducible
from weightsmith.train.interrupt import Interrupt
from weightsmith.train.journal import Journal
from weightsmith.train.loop import Loop
from weightsmith.train.progress import display

BATCH = 128


def random_data(rows: int, validation: int) -> Data:
    generator = torch.Generator().manual_seed(0)

    def split(count: int) -> Split:
        inputs = torch.randn(count, 784, generator=generator)
        targets = torch.randint(0, 10, (count,), generator=generator)
        return Split(inputs, targets, torch.arange(count))

    return Data("random", "classification", split(rows), split(validation), None, (784,), 10)


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10))


def bare(data: Data, epochs: int) -> float:
    """Seconds of a loop as one writes it by hand."""
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    inputs, targets = data.train.inputs, data.train.targets
    held_out, expected = data.validation.inputs, data.validation.targets
    assert isinstance(inputs, torch.Tensor)
    assert isinstance(held_out, torch.Tensor)
    started = time.perf_counter()
    for _ in range(epochs):
        model.train()
        order = torch.randperm(len(targets))
        total, correct = 0.0, 0
        for rows in order.split(BATCH):
            batch, wanted = inputs[rows], targets[rows]
            optimizer.zero_grad()
            outputs = model(batch)
            loss = nn.functional.cross_entropy(outputs, wanted)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
            correct += int((outputs.argmax(1) == wanted).sum())
        model.eval()
        with torch.no_grad():
            for start in range(0, len(expected), 1024):
                outputs = model(held_out[start : start + 1024])
                nn.functional.cross_entropy(outputs, expected[start : start + 1024]).item()
                int((outputs.argmax(1) == expected[start : start + 1024]).sum())
    return time.perf_counter() - started


def ours(data: Data, epochs: int) -> float:
    """Seconds of our loop over the same work; putting its parts together is not counted, as above."""
    recipe = Recipe.from_dict({"budget": {"epochs": epochs}, "batch_size": BATCH, "record": False})
    parts = assemble(recipe, connect(recipe), data, network())
    loop = Loop(parts, Journal(None), display(shown=False), Interrupt())
    started = time.perf_counter()
    loop.run()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=12_800)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    data = random_data(arguments.rows, arguments.rows // 6)
    seconds: dict[str, list[float]] = {"bare": [], "ours": []}
    with reproducible(arguments.threads):
        bare(data, 1)
        ours(data, 1)
        for _ in range(arguments.rounds):
            seconds["bare"].append(bare(data, arguments.epochs))
            seconds["ours"].append(ours(data, arguments.epochs))
    ratios = [a / b for a, b in zip(seconds["ours"], seconds["bare"], strict=True)]
    steps = arguments.epochs * -(-arguments.rows // BATCH)
    found: dict[str, Any] = {name: statistics.median(times) / steps * 1e6 for name, times in seconds.items()}
    found |= {"ratio": statistics.median(ratios), "threads": arguments.threads, "rounds": arguments.rounds}
    if arguments.json:
        print(json.dumps(found))
    else:
        print(f"bare {found['bare']:.0f} us/step, ours {found['ours']:.0f} us/step, median ratio {found['ratio']:.3f}")


if __name__ == "__main__":
    main()
