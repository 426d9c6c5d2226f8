"""What recording costs: the same training loop with and without the recorder, taking turns in one process.

Run `python benchmarks/recorder.py`. MLP 784-300-100-10, batch 128, fused Adam, two threads, synthetic data, the
recorder at its default budget with all its writes. Set-up before the first step, the end of the run (last snapshot and
sketches) and the loop between are timed apart; the ratio is of the loops: of wall time, and of the process's own
processor time, which tells more where other processes use the machine. Where TensorBoard is installed, its histograms
of all weights and gradients at every step are timed the same way.

Where there is a GPU it trains (or with `--device`), and each turn is timed until the device has come to its end. Beside
the MLP, which waits for its host, `--model transformer` keeps a GPU busy: 12 encoder layers of width 1024 (151 million
weights), 8 x 256 tokens, bfloat16.
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from weightsmith.recording import record
from weightsmith.store import Store

Batch = tuple[Tensor, Tensor]
Told = Callable[[Tensor], None]


def silent(loss: Tensor) -> None:
    """Tell nobody."""


class Encoder(nn.Module):
    """Token vectors (batch, steps, 1024) to ten logits."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(1024, 16, dropout=0.0, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 12, enable_nested_tensor=False)
        self.output = nn.Linear(1024, 10)

    def forward(self, tokens: Tensor) -> Tensor:
        """One row of logits for each sequence."""
        found: Tensor = self.output(self.encoder(tokens).mean(1))
        return found


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10))


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "mlp": (perceptron, (128, 784)),
    "transformer": (Encoder, (8, 256, 1024)),
}
"""How to make each model, and the shape of a batch."""


class Subject:
    """A model in training; each contender trains its own copy on the same batches."""

    def __init__(self, model: str, device: torch.device) -> None:
        torch.manual_seed(0)
        self.device = device
        self.half = model == "transformer"
        self.model = MODELS[model][0]().to(device)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3, fused=True)

    def train(self, batches: list[Batch], steps: int, tell: Told) -> tuple[float, float]:
        """Seconds and processor seconds for some steps."""
        self.wait()
        start, start_processor = time.perf_counter(), time.process_time()
        for step in range(steps):
            inputs, targets = batches[step % len(batches)]
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
                loss = F.cross_entropy(self.model(inputs), targets)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            tell(loss)
        self.wait()
        return time.perf_counter() - start, time.process_time() - start_processor

    def wait(self) -> None:
        """Until the device has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def ratios(one: list[tuple[float, float]], other: list[tuple[float, float]], which: int) -> float:
    """Median of the ratios, round by round, of wall times (0) or processor times (1)."""
    return statistics.median(a[which] / b[which] for a, b in zip(one, other, strict=True))


def tensorboard(subject: Subject, folder: str) -> Told | None:
    """Histograms of all weights and gradients at each step; None where TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    writer = SummaryWriter(folder)
    step = 0

    def tell(loss: Tensor) -> None:
        nonlocal step
        step += 1
        writer.add_scalar("loss", loss, step)
        for name, parameter in subject.model.named_parameters():
            writer.add_histogram(name, parameter, step)
            writer.add_histogram(f"{name}.grad", parameter.grad, step)

    return tell


@contextmanager
def folder() -> Iterator[str]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as path:
        yield path


def bytes_in(path: str) -> int:
    return sum(file.stat().st_size for file in Path(path).rglob("*") if file.is_file())


def made(shape: Sequence[int], device: torch.device) -> list[Batch]:
    """Batches of noise."""
    generator = torch.Generator().manual_seed(1)
    return [
        (
            torch.randn(*shape, generator=generator).to(device),
            torch.randint(0, 10, shape[:1], generator=generator).to(device),
        )
        for _ in range(32)
    ]


def compare(
    model: str, device: torch.device, seconds: float, rounds: int, steps: int, budget: float
) -> dict[str, object]:
    """Time the contenders by turns and describe the outcome."""
    batches = made(MODELS[model][1], device)
    plain, recorded = Subject(model, device), Subject(model, device)
    for subject in (plain, recorded):
        subject.train(batches, min(steps, 100), silent)
    until = time.perf_counter() + seconds
    without: list[tuple[float, float]] = []
    with_recorder: list[tuple[float, float]] = []
    with folder() as place, Store.open(place) as store:
        recorder = record(recorded.model, recorded.optimizer, budget=budget, store=store)
        start = time.perf_counter()
        recorder.__enter__()
        setup = time.perf_counter() - start
        for turn in range(rounds):
            if time.perf_counter() > until:
                break
            # Who goes first alternates, so that neither always runs on the warmer processor.
            order = (plain, recorded) if turn % 2 else (recorded, plain)
            for subject in order:
                if subject is recorded:
                    # The other's turn is no training of ours and must not earn any credit.
                    recorder._stopwatch.switch("training")
                    with_recorder.append(subject.train(batches, steps, lambda loss: recorder.step(loss=loss)))
                    recorder._stopwatch.switch("setup")
                else:
                    without.append(subject.train(batches, steps, silent))
        recorder._stopwatch.switch("training")
        cost = recorder.cost
        start = time.perf_counter()
        recorder.__exit__(None, None, None)
        end = time.perf_counter() - start
        run = recorder.run
        found = {
            "model": model,
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
            "machine": run.environment["processor"],
            "python": platform.python_version(),
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "rounds": len(without),
            "steps_per_round": steps,
            "milliseconds_per_step": 1000 * statistics.median(wall for wall, _ in without) / steps,
            "ratio": ratios(with_recorder, without, 0),
            "ratio_of_processor_time": ratios(with_recorder, without, 1),
            "ratio_of_total_processor_time": sum(used for _, used in with_recorder) / sum(used for _, used in without),
            "own_share": cost.share,
            "seconds": {name: round(value, 4) for name, value in cost.seconds.items()},
            "setup_seconds": setup,
            "end_seconds": end,
            "measured": cost.measured,
            "sketched": cost.sketched,
            "snapshots": cost.snapshots,
            "series": len(run.series_names()),
            "bytes": bytes_in(place),
            "failure": recorder.failure,
        }
    if model != "mlp":  # histograms of so many weights would take minutes
        return found
    return found | compare_tensorboard(batches, plain, Subject(model, device), rounds=3, steps=min(steps, 100))


def compare_tensorboard(
    batches: list[Batch], plain: Subject, subject: Subject, rounds: int, steps: int
) -> dict[str, object]:
    with folder() as place:
        tell = tensorboard(subject, place)
        if tell is None:
            return {"tensorboard": "not installed"}
        ratios = [
            subject.train(batches, steps, tell)[0] / plain.train(batches, steps, silent)[0] for _ in range(rounds)
        ]
        return {
            "tensorboard_ratio": statistics.median(ratios),
            "tensorboard_bytes_per_step": bytes_in(place) / rounds / steps,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=MODELS, default="mlp")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seconds", type=float, default=40.0, help="when no further round is begun")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--steps", type=int, default=100, help="steps per round and contender")
    parser.add_argument("--budget", type=float, default=0.02)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device, limits = torch.device(arguments.device), (arguments.seconds, arguments.rounds, arguments.steps)
    print(json.dumps(compare(arguments.model, device, *limits, arguments.budget), indent=2))


if __name__ == "__main__":
    main()
