"""L1 on data of many features against scikit-learn's saga on the same five folds; and what sparse rows save in memory.

    python benchmarks/sparse_features.py BASEHOCK.svm.gz ARCENE.npz [--json]

One line a set: mean accuracy over the folds and features alive, ours (proximal Adam) and scikit-learn's, both
minimizing the mean logistic loss plus `strength` times the sum of magnitudes. Then the resident memory that reading and
training BASEHOCK adds to a process that has imported everything (peak over the start, Linux), from sparse rows and from
the same rows stored dense.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from weightsmith.train import Recipe, train
from weightsmith.train.data import Data, Split, load_data
from weightsmith.train.data.standardization import of_features, of_sparse

Rows = NDArray[np.float32] | csr_array

STRENGTHS = {"basehock": 0.004, "arcene": 0.01}
FOLDS = 5
EPOCHS = 400


def recipe(strength: float, path: Path) -> Recipe:
    return Recipe.from_dict(
        {
            "data": {"path": str(path)},
            "model": "linear",
            "optimizer": {"name": "adam", "lr": 0.02},
            "schedule": "cosine",
            "penalties": {"l1": strength},
            "batch_size": 4096,
            "budget": {"epochs": EPOCHS, "keep": "last"},
            "record": False,
        }
    )


def read(path: Path) -> tuple[Rows, NDArray[np.int64]]:
    """All rows of a file and their classes, 0 and 1."""
    if path.suffix == ".npz":
        with np.load(path) as stored:
            return stored["X"].astype(np.float32), (stored["y"].ravel() == stored["y"].max()).astype(np.int64)
    data = load_data(Recipe(data=str(path)))
    parts = [part for part in (data.train, data.validation, data.test) if part is not None]
    whole = csr_array(vstack([part.inputs for part in parts]))
    # scikit-learn wants 32-bit indices
    narrow = csr_array((whole.data, whole.indices.astype(np.int32), whole.indptr.astype(np.int32)), shape=whole.shape)
    return narrow, torch.cat([part.targets for part in parts]).numpy().ravel().astype(np.int64)


def scaled(rows: Rows, fitted: Rows) -> Rows:
    """Standardized by the training rows; sparse ones are scaled and not centered, as our training does."""
    if isinstance(rows, np.ndarray):
        return of_features(fitted).apply(torch.from_numpy(rows)).numpy()
    factors = 1 / of_sparse(fitted).scale.numpy()
    values = (rows.data * factors[rows.indices]).astype(np.float32)
    return csr_array((values, rows.indices.astype(np.int32), rows.indptr.astype(np.int32)), shape=rows.shape)


def split(rows: Rows, classes: NDArray[np.int64]) -> Split:
    inputs = torch.from_numpy(rows) if isinstance(rows, np.ndarray) else rows
    return Split(inputs, torch.from_numpy(classes[:, None].astype(np.float32)), torch.arange(len(classes)))


def ours(fitted: Rows, classes: NDArray[np.int64], held: Rows, wanted: NDArray[np.int64], strength: float, path: Path):
    data = Data(
        path.stem,
        "binary_classification",
        split(fitted, classes),
        split(fitted[:0], classes[:0]),
        split(held, wanted),
        fitted.shape[1:],
        1,
    )
    with tempfile.TemporaryDirectory() as folder:
        result = train(recipe(strength, path), data=data, store=folder, progress=False)
    weight = result.model.output.weight.detach().numpy().ravel()
    return result.metrics["test_accuracy"], int(np.count_nonzero(weight))


def theirs(fitted: Rows, classes: NDArray[np.int64], held: Rows, wanted: NDArray[np.int64], strength: float):
    penalty = 1 / (strength * len(classes))
    model = LogisticRegression(C=penalty, l1_ratio=1.0, solver="saga", max_iter=5000, tol=1e-4, random_state=0)
    model.fit(fitted, classes)
    return model.score(held, wanted), int(np.count_nonzero(model.coef_))


def compare(path: Path, strength: float) -> dict[str, float]:
    rows, classes = read(path)
    scores = {"ours": [], "scikit-learn": []}
    for fitting, testing in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(np.zeros(len(classes)), classes):
        fitted = scaled(rows[fitting], rows[fitting])
        held = scaled(rows[testing], rows[fitting])
        given = (fitted, classes[fitting], held, classes[testing], strength)
        scores["ours"].append(ours(*given, path))
        scores["scikit-learn"].append(theirs(*given))
    return {
        f"{who} {what}": float(np.mean([score[place] for score in found]))
        for who, found in scores.items()
        for place, what in enumerate(("accuracy", "features"))
    }


def status(name: str) -> float:
    """A line of this process's memory, in MB."""
    text = Path("/proc/self/status").read_text()
    return int(next(line for line in text.splitlines() if line.startswith(name)).split()[1]) / 1024


def memory(path: Path) -> None:
    """Train from a file in this process; print what that added to its resident memory."""
    with tempfile.TemporaryDirectory() as folder:
        warm = Recipe.from_dict({**recipe(0.01, path).given(), "data": "breast_cancer", "budget": {"epochs": 1}})
        train(warm, store=folder, progress=False)
        before = status("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # lets the peak start anew
        short = recipe(STRENGTHS["basehock"], path).override(["budget.epochs=20"])
        train(short, store=folder, progress=False)
    print(json.dumps({"before": before, "added": status("VmHWM") - before}))


def measure_memory(path: Path) -> dict[str, float]:
    rows, classes = read(path)
    assert isinstance(rows, csr_array)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        dense = Path(folder) / "dense.npz"
        np.savez(dense, X=rows.toarray(), y=classes)
        for name, file in (("sparse", path), ("dense", dense)):
            command = [sys.executable, __file__, "--memory", str(file)]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            found[name] = json.loads(output)["added"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", type=Path, nargs="*")
    parser.add_argument("--memory", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    if arguments.memory:
        memory(arguments.memory)
        return
    report = {}
    for path in arguments.paths:
        name = path.name.split(".")[0]
        report[name] = found = compare(path, STRENGTHS.get(name, 0.01))
        if not arguments.json:
            print(
                f"{name:10} accuracy {found['ours accuracy']:.4f} with {found['ours features']:.1f} features; "
                f"scikit-learn {found['scikit-learn accuracy']:.4f} with {found['scikit-learn features']:.1f}"
            )
        if ".svm" in path.name:
            report["memory"] = added = measure_memory(path)
            if not arguments.json:
                shown = f"sparse {added['sparse']:.1f} MB, dense {added['dense']:.1f} MB"
                print(f"{'':10} memory added by reading and training: {shown}")
    if arguments.json:
        print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
