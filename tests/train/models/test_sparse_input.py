import numpy as np
import pytest
import torch
from scipy.sparse import csr_array, random_array
from sklearn.datasets import dump_svmlight_file

from weightsmith.train import train
from weightsmith.train.data import Split
from weightsmith.train.data.standardization import of_sparse
from weightsmith.train.models.feedforward import MLP, Linear
from weightsmith.train.models.sparse_input import SparseInputDropout, SparseInputLinear


def _rows(count: int = 40, features: int = 60, seed: int = 0) -> csr_array:
    return csr_array(random_array((count, features), density=0.1, format="csr", dtype=np.float32, rng=seed))


def _sparse(rows: csr_array) -> torch.Tensor:
    split = Split(rows, torch.zeros(rows.shape[0]), torch.arange(rows.shape[0]))
    return split.sparse_batch(torch.arange(rows.shape[0]))[0]


@pytest.mark.parametrize("bias", [True, False])
def test_equals_the_dense_layer_forward_and_backward(bias):
    rows = _rows()
    layer = SparseInputLinear(60, 7, bias=bias)
    dense = torch.from_numpy(rows.toarray())
    outputs = []
    for given in (_sparse(rows), dense):
        layer.zero_grad()
        output = layer(given)
        output.square().sum().backward()
        outputs.append((output.detach(), *(parameter.grad.clone() for parameter in layer.parameters())))
    for ours, plain in zip(*outputs, strict=True):
        torch.testing.assert_close(ours, plain)


@pytest.mark.parametrize("count", [0, 1])
def test_no_row_and_one_row(count):
    rows = _rows()[:count]
    output = SparseInputLinear(60, 3)(_sparse(rows))
    assert output.shape == (count, 3)
    output.sum().backward()


def test_nan_in_a_weight_reaches_only_the_rows_that_use_it():
    layer = SparseInputLinear(3, 1)
    with torch.no_grad():
        layer.weight[0, 2] = float("nan")
    output = layer(_sparse(csr_array(np.array([[1.0, 0, 0], [0, 0, 1.0]], dtype=np.float32))))
    assert torch.isnan(output).ravel().tolist() == [False, True]


def test_dropout_drops_its_share_of_the_values_and_scales_the_others():
    rows = _sparse(_rows(200))
    dropout = SparseInputDropout(0.25)
    dropped = dropout(rows)
    assert dropped.layout is torch.sparse_csr
    kept = dropped.values() != 0
    assert abs(kept.double().mean().item() - 0.75) < 0.05
    torch.testing.assert_close(dropped.values()[kept], rows.values()[kept] / 0.75)
    torch.testing.assert_close(dropout.eval()(rows).to_dense(), rows.to_dense())


def test_batches_are_scaled_as_dense_ones_are():
    rows = _rows()
    split = Split(rows, torch.arange(40.0), torch.arange(40), of_sparse(rows))
    some = torch.tensor([3, 39, 3])
    sparse, targets = split.sparse_batch(some)
    dense, wanted = split.batch(some)
    torch.testing.assert_close(sparse.to_dense(), dense)
    assert targets.equal(wanted)


@pytest.mark.parametrize("model", [{"name": "linear"}, {"name": "mlp", "hidden": [8]}])
def test_training_on_sparse_rows_is_training_on_the_same_rows_dense(tmp_path, monkeypatch, model):
    rows = _rows(80, 30)
    labels = (np.asarray(rows.sum(axis=1)).ravel() > 1.4).astype(int)
    path = tmp_path / "rows.svm"
    dump_svmlight_file(rows, labels, str(path), zero_based=True)
    recipe = {
        "data": {"path": str(path)},
        "model": model,
        "penalties": {"l1": 0.001},
        "budget": {"epochs": 4, "keep": "last"},
        "record": False,
    }
    sparse = train(recipe, store=tmp_path, progress=False)
    for kind in (Linear, MLP):
        monkeypatch.setattr(kind, "takes_sparse_rows", False)
    dense = train(recipe, store=tmp_path, progress=False)
    for ours, plain in zip(sparse.model.parameters(), dense.model.parameters(), strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-6)
    assert sparse.metrics["test_accuracy"] == dense.metrics["test_accuracy"]
