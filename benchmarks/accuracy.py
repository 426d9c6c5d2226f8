"""Error at test and bytes on disk of binary and sparse networks on MNIST: trained, packed, read back and tested.

    python benchmarks/accuracy.py MNIST_FOLDER [--only binary-mlp --only lenet ...] [--seeds 3] [--json]

Each line is one recipe of `examples/`, or one sparsifier on the convolutional network `cnn`. `best` is the epoch of the
lowest validation loss, `final` the last one; `packed` is the error of the packed model that was read back from the
file, which holds the final weights, header and all.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean

import torch
from torch import nn

from weightsmith import kinds
from weightsmith.train import Recipe, load_recipe, train
from weightsmith.train.data import Split, load_data

EXAMPLES = Path(__file__).parents[1] / "examples"

CNN = {
    "model": "cnn",
    "optimizer": {"name": "adam", "lr": 0.002},
    "schedule": "cosine",
    "batch_size": 128,
    "budget": {"epochs": 6, "keep": "last"},
}
"""The network that every sparsifier prunes: two convolutions of 32 and 64 channels, 128 units, 421,000 weights."""

FIRST_AND_LAST = ["convolutions.0.weight", "output.weight"]
"""Left dense where every layer, or every output, loses the same share: the first has 9 inputs for each output."""

SPARSIFIERS: dict[str, dict[str, object]] = {
    "magnitude, global": {},
    "magnitude, layer": {"scope": "layer", "exclude": FIRST_AND_LAST},
    "magnitude, erk": {"scope": "erk"},
    "set": {"method": "set"},
    "rigl": {"method": "rigl"},
    "snip": {"method": "snip"},
    "movement": {"method": "movement"},
    "wanda, of the dense one": {"method": "wanda", "exclude": FIRST_AND_LAST},
    "structured, 3/4 of outputs": {"method": "structured", "sparsity": 0.75},
    "l0": {"method": "l0", "sparsity": None, "strength": 5e-5},
    "spred": {"method": "spred", "sparsity": None, "strength": 5e-4},
    "l1": {"method": "l1", "sparsity": None, "strength": 4e-4},
    "group_lasso": {"method": "group_lasso", "sparsity": None, "strength": 3e-3},
}


@dataclass(frozen=True)
class Row:
    """One training: errors in percent, share of zeros, bytes of the file."""

    name: str
    seed: int
    best: float
    final: float
    packed: float
    zeros: float
    nbytes: int
    seconds: float


def recipes(folder: Path) -> Iterator[tuple[str, Recipe, str]]:
    """Name, recipe and type of packed values."""
    data = f"data.path={folder}"
    for name, file in (("binary-mlp", "mnist-binary-mlp"), ("binary-cnn", "mnist-binary-cnn")):
        yield name, load_recipe(EXAMPLES / f"{file}.yaml").override([data]), "float32"
    lenet = load_recipe(EXAMPLES / "mnist-sparse.yaml").override([data])
    for sparsity in (0.95, 0.972, 0.983, 0.99):
        yield f"lenet {sparsity:.1%}", lenet.override([f"kind.sparsity={sparsity}"]), "float16"
    network = {**CNN, "data": {"path": str(folder), "validation": 0.02}}
    yield "cnn, dense", Recipe.from_dict(network), "float32"
    for name, options in SPARSIFIERS.items():
        kind = {"name": "sparse", "sparsity": 0.95, **options}
        kind = {option: value for option, value in kind.items() if value is not None}
        # Running statistics of noisy gates are not those of the deterministic network that is tested.
        more = {"batch_norm": False, "optimizer": {"name": "adam", "lr": 0.005}} if name == "l0" else {}
        yield f"cnn, {name}", Recipe.from_dict({**network, "kind": kind, **more}), "float16"


def error(model: nn.Module, split: Split) -> float:
    """Percent of rows that a model gets wrong."""
    wrong = 0
    with torch.inference_mode():
        for rows in torch.arange(len(split)).split(1000):
            inputs, targets = split.batch(rows)
            wrong += int((model(inputs).argmax(1) != targets).sum())
    return 100 * wrong / len(split)


def measure(name: str, recipe: Recipe, values: str) -> Row:
    """Train, drop what no longer takes part, pack, read back, test."""
    data = load_data(recipe)
    assert data.test is not None
    with tempfile.TemporaryDirectory() as folder:
        recipe = recipe.override(["record=false"])
        model = None
        if recipe.kind.name == "sparse" and recipe.kind.options.get("method") == "wanda":
            model = train(recipe.override(["kind=continuous"]), store=folder, progress=False).model
            recipe = recipe.override(["init=kept"])
        result = train(recipe, store=folder, model=model, progress=False)
        assert result.best is not None
        assert result.last is not None
        model = result.model
        kinds.bake(model)
        matrices = [weight for weight in model.parameters() if weight.dim() > 1]
        zeros = sum(int((weight == 0).sum()) for weight in matrices) / sum(weight.numel() for weight in matrices)
        if zeros > 0.5:
            kinds.shrink(model)
        path = Path(folder) / "packed.safetensors"
        packed = kinds.pack(model, measure=False, values=values)
        kinds.save_packed(packed, path)
        back = kinds.load_packed(path, model)
        return Row(
            name,
            recipe.seed,
            100 - 100 * result.best.test.metric,
            100 - 100 * result.last.test.metric,
            error(back, data.test),
            zeros,
            path.stat().st_size,
            result.seconds,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the four IDX files of MNIST")
    parser.add_argument("--only", action="append", help="rows whose names begin so; may be repeated")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], help="as of weightsmith train, for a quick look")
    parser.add_argument("--json", action="store_true", help="one object for each training, as it ends")
    arguments = parser.parse_args()
    wanted = tuple(arguments.only or [""])
    if not arguments.json:
        print("| network | best | final | packed | zeros | bytes | seconds |\n|---|---|---|---|---|---|---|")
    for name, recipe, values in recipes(arguments.folder):
        if not name.startswith(wanted):
            continue
        seeded = (recipe.override([f"seed={seed}", *arguments.set]) for seed in range(arguments.seeds))
        rows = [measure(name, each, values) for each in seeded]
        if arguments.json:
            print("\n".join(json.dumps(asdict(row)) for row in rows), flush=True)
            continue
        best, final, packed = (
            f"{mean(found):.2f} ({min(found):.2f} to {max(found):.2f})" if len(rows) > 1 else f"{found[0]:.2f}"
            for found in ([getattr(row, part) for row in rows] for part in ("best", "final", "packed"))
        )
        zeros, seconds = mean(row.zeros for row in rows), mean(row.seconds for row in rows)
        size = max(row.nbytes for row in rows)
        print(f"| {name} | {best} | {final} | {packed} | {zeros:.1%} | {size:,} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
