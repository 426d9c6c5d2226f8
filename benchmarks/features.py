"""L1 by proximal Adam against scikit-learn on the same rows: which features survive, and how well they predict.

    python benchmarks/features.py [MADELON.npz]

Prints one line a problem: test score and surviving features of both. For Madelon (500 features, of which 5 are
informative, 15 are combinations of these and 480 are noise) it also counts survivors that are informative-like: those
that correlate with another feature by more than 0.5, as the noise does not (Guyon et al. 2004 say how it was made).
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from sklearn.linear_model import Lasso, LogisticRegression
from sklearn.metrics import accuracy_score, r2_score

from weightsmith.train import Recipe, load_recipe, train
from weightsmith.train.data import Data, Split, load_data

EXAMPLES = Path(__file__).parents[1] / "examples"


def rows(split: Split) -> tuple[np.ndarray, np.ndarray]:
    inputs, targets = split.batch(torch.arange(len(split)))
    return inputs.double().numpy(), targets.numpy().ravel()


def fit(data: Data, strength: float) -> tuple[float, np.ndarray]:
    """scikit-learn's solution of the same problem: mean loss plus `strength` times the sum of magnitudes."""
    inputs, targets = rows(data.train)
    tested, wanted = rows(data.test)
    if data.task == "regression":
        # Lasso minimizes half the mean square, the recipe's loss is the whole.
        model = Lasso(alpha=strength / 2, max_iter=100_000, tol=1e-10).fit(inputs, targets)
        return r2_score(wanted, model.predict(tested)), np.flatnonzero(model.coef_)
    penalty = 1 / (strength * len(targets))
    model = LogisticRegression(C=penalty, l1_ratio=1.0, solver="saga", max_iter=20_000, tol=1e-6).fit(inputs, targets)
    return accuracy_score(wanted, model.predict(tested)), np.flatnonzero(np.abs(model.coef_).sum(axis=0))


def compare(name: str, recipe: Recipe) -> None:
    data = load_data(recipe)
    with TemporaryDirectory() as folder:
        result = train(recipe, store=folder, progress=False)
    ours = {feature.index for feature in result.report.surviving}
    score, theirs = fit(data, recipe.penalties.l1)
    metric = "test_r2" if data.task == "regression" else "test_accuracy"
    print(
        f"{name:14} {metric:13} ours {result.metrics[metric]:.4f} with {len(ours)} of {data.input_shape[0]} features; "
        f"scikit-learn {score:.4f} with {len(theirs)}; {len(ours & set(theirs.tolist()))} in common"
    )
    if name == "madelon":
        inputs, _ = rows(data.train)
        alike = np.abs(np.corrcoef(inputs, rowvar=False)) - np.eye(inputs.shape[1])
        informative = set(np.flatnonzero(alike.max(axis=0) > 0.5).tolist())
        print(
            f"{'':14} informative-like ({len(informative)} features): {len(ours & informative)} of our survivors, "
            f"{len(informative & set(theirs.tolist()))} of scikit-learn's"
        )


def main() -> None:
    for name, file in (("breast cancer", "breast-cancer-l1"), ("diabetes", "diabetes-lasso")):
        compare(name, load_recipe(EXAMPLES / f"{file}.yaml"))
    if sys.argv[1:]:
        compare("madelon", load_recipe(EXAMPLES / "madelon-l1.yaml").override([f"data.path={sys.argv[1]}"]))


if __name__ == "__main__":
    main()
