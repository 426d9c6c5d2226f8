import gzip

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from sklearn import datasets
from sklearn.datasets import dump_svmlight_file

from weightsmith.errors import InputError, SourceError
from weightsmith.train.data import load_data
from weightsmith.train.recipe import Recipe
from weightsmith.train.recipe.names import BUILT_IN_DATA

EXPECTED = {
    "digits": ("classification", 10, (1, 8, 8)),
    "breast_cancer": ("binary_classification", 1, (30,)),
    "wine": ("classification", 3, (13,)),
    "diabetes": ("regression", 1, (10,)),
    "iris": ("classification", 3, (4,)),
}


@pytest.mark.parametrize("name", BUILT_IN_DATA)
def test_built_in_sets_are_scikit_learns(name):
    data = load_data(Recipe(data={"name": name, "standardize": False}))
    assert (data.task, data.outputs, data.input_shape) == EXPECTED[name]
    source = getattr(datasets, f"load_{name}")(**({"scaled": False} if name == "diabetes" else {}))
    inputs, targets = data.test.batch(torch.arange(len(data.test)))
    np.testing.assert_allclose(inputs.flatten(1), source.data[data.test.ids], rtol=1e-6)
    np.testing.assert_allclose(targets.flatten(), source.target[data.test.ids])
    if data.class_names and name != "digits":
        assert list(data.class_names) == list(source.target_names)


@pytest.mark.parametrize("name", BUILT_IN_DATA)
def test_training_rows_are_standardized(name):
    data = load_data(Recipe(data=name))
    inputs, targets = data.train.batch(torch.arange(len(data.train)))
    over = (0, 1, 2, 3) if data.is_image else 0
    np.testing.assert_allclose(inputs.mean(over), 0, atol=1e-5)
    np.testing.assert_allclose(inputs.std(over, correction=0), 1, atol=1e-4)
    if data.task == "regression":
        np.testing.assert_allclose(targets.std(correction=0), 1, atol=1e-5)


def test_digits_even_and_odd():
    data = load_data(Recipe(data={"name": "digits", "target": "even"}, task="binary_classification"))
    assert (data.outputs, data.class_names) == (1, ["odd", "even"])
    assert (data.test.targets[:, 0].numpy() == (datasets.load_digits().target[data.test.ids] % 2 == 0)).all()


def test_svmlight_stays_sparse(tmp_path):
    random = np.random.default_rng(0)
    rows = np.where(random.random((50, 30)) < 0.1, random.normal(size=(50, 30)), 0)
    path = tmp_path / "x.svm"
    dump_svmlight_file(rows, np.arange(50) % 2, str(path), zero_based=False)
    zipped = tmp_path / "x.libsvm.gz"
    zipped.write_bytes(gzip.compress(path.read_bytes()))
    for file in (path, zipped):
        data = load_data(Recipe(data=str(file)))
        assert isinstance(data.train.inputs, csr_array)
        inputs, _ = data.train.batch(torch.tensor([3, 1]))
        train = rows[data.train.ids]
        spread = train.std(axis=0)
        np.testing.assert_allclose(inputs, train[[3, 1]] / np.where(spread > 0, spread, 1), rtol=1e-5)
        assert data.task == "binary_classification"


def test_basehock_stays_sparse(shared):
    data = load_data(Recipe(data=str(shared / "data" / "features" / "basehock.svm.gz")))
    assert len(data.train) + len(data.validation) + len(data.test) == 1993
    assert data.input_shape == (4862,)
    for part in (data.train, data.validation, data.test):
        assert isinstance(part.inputs, csr_array)
        assert part.inputs.nnz < 0.05 * part.inputs.shape[0] * part.inputs.shape[1]
    assert data.train.batch(torch.arange(8))[0].shape == (8, 4862)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"1 a:b\n", "not svmlight text"),
        (b"1 3:1 2:1\n", "not svmlight text"),
        (b"word 1:1\n", "not svmlight text"),
        (b"1 1:nan\n0 1:1\n" * 9, "the inputs hold nan, which is not finite"),
        (b"1 20000000:1\n0 1:1\n" * 9, "index 20,000,000 is beyond"),
        (b"", "holds no rows"),
    ],
)
def test_bad_svmlight(tmp_path, content, message):
    path = tmp_path / "x.svm"
    path.write_bytes(content)
    with pytest.raises(SourceError) as caught:
        load_data(Recipe(data=str(path)))
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)


def test_truncated_svmlight(tmp_path):
    path = tmp_path / "x.svm.gz"
    path.write_bytes(gzip.compress(np.random.default_rng(0).bytes(5000).hex().encode())[:-20])
    with pytest.raises(SourceError, match=f"{path}: "):
        load_data(Recipe(data=str(path)))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"name": "iris", "image_size": 8}, "data.image_size: does not apply to built-in sets such as iris"),
        ({"name": "iris", "missing": "impute"}, "data.missing: does not apply to built-in sets such as iris"),
        ({"name": "iris", "exclude": "a"}, "data.exclude: does not apply to built-in sets such as iris"),
        ({"name": "iris", "sequence": False}, "data.sequence: does not apply to built-in sets such as iris"),
        ({"name": "iris", "target": "petal"}, "data.target: iris has no columns to choose 'petal' from; leave it null"),
        ("irs", "unknown data 'irs': choose from digits,"),
        ({"name": "iris", "validation": 0.9}, "data.validation: 0.9 leaves no rows to train on beside a test share"),
    ],
)
def test_options_that_do_not_fit_the_source(data, message):
    with pytest.raises(InputError) as caught:
        load_data(Recipe(data=data))
    assert str(caught.value).startswith(message)


def test_places_that_hold_no_data(tmp_path):
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    (tmp_path / "rows.doc").write_text("a")
    with pytest.raises(SourceError, match=r"no file or folder at .*rws.csv; did you mean 'rows.csv'\?"):
        load_data(Recipe(data=str(tmp_path / "rws.csv")))
    with pytest.raises(SourceError, match=r"no file or folder at"):
        load_data(Recipe(data=str(tmp_path / "no" / "x.csv")))
    with pytest.raises(SourceError, match=r"rows.doc: this kind of file is not read as data: choose from .csv"):
        load_data(Recipe(data=str(tmp_path / "rows.doc")))
    with pytest.raises(SourceError, match="holds neither IDX files"):
        load_data(Recipe(data=str(tmp_path)))
