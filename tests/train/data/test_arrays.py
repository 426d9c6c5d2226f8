import zipfile

import numpy as np
import pytest
import torch

from weightsmith.errors import InputError, SourceError
from weightsmith.train.data import load_data
from weightsmith.train.recipe import Recipe

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(60, 5))
Y = np.arange(60) % 3


def save(folder, **arrays):
    path = folder / "rows.npz"
    np.savez(path, **arrays)
    return str(path)


def everything(data):
    """All stored rows in the order of their numbers in the source."""
    parts = [data.train, data.validation, data.test]
    ids = torch.cat([part.ids for part in parts])
    inputs = torch.cat([part.batch(torch.arange(len(part)))[0] for part in parts])
    return inputs[ids.argsort()]


@pytest.mark.parametrize("names", [("X", "y"), ("x", "Y"), ("x_train", "y_train"), ("X_TRAIN", "Y_TRAIN")])
def test_plain_rows(tmp_path, names):
    data = load_data(Recipe(data=save(tmp_path, **dict(zip(names, (X, Y), strict=True)))))
    assert (data.task, data.input_shape, data.outputs) == ("classification", (5,), 3)
    assert not data.is_image
    assert not data.is_sequence
    assert list(data.class_names) == ["0", "1", "2"]
    inputs = everything(data)
    train = X[data.train.ids]
    np.testing.assert_allclose(inputs, (X - train.mean(0)) / train.std(0), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("array", "shape", "kind"),
    [
        (np.zeros((60, 7, 6)), (1, 7, 6), "image"),
        (np.zeros((60, 3, 6, 6), np.uint8), (3, 6, 6), "image"),
        (np.zeros((60, 6, 7, 3), np.uint8), (3, 6, 7), "image"),
        (np.zeros((60, 5, 6, 7)), (5, 6, 7), "image"),
    ],
)
def test_images(tmp_path, array, shape, kind):
    data = load_data(Recipe(data=save(tmp_path, X=array, y=Y)))
    assert data.input_shape == shape
    assert data.is_image
    assert everything(data).shape == (60, *shape)


def test_channels_last_are_moved_to_the_front(tmp_path):
    images = RANDOM.integers(0, 256, (60, 6, 5, 3), np.uint8)
    data = load_data(Recipe(data={"path": save(tmp_path, X=images, y=Y), "standardize": False}))
    assert (everything(data).numpy() == images.transpose(0, 3, 1, 2)).all()


def test_sequences(tmp_path):
    path = save(tmp_path, X=RANDOM.normal(size=(60, 9, 2)), y=Y)
    data = load_data(Recipe(data={"path": path, "sequence": True}))
    assert (data.input_shape, data.is_sequence, data.is_image) == ((9, 2), True, False)
    with pytest.raises(SourceError, match=r"data.sequence needs inputs of \(rows, time, features\)"):
        load_data(Recipe(data={"path": save(tmp_path, X=X, y=Y), "sequence": True}))


def test_a_published_test_set(tmp_path):
    path = save(tmp_path, x_train=X, y_train=Y, x_test=X[:7], y_test=Y[:7])
    data = load_data(Recipe(data=path))
    assert [len(part) for part in (data.train, data.validation, data.test)] == [51, 9, 7]
    with pytest.raises(InputError, match="publishes its own test set: leave it null"):
        load_data(Recipe(data={"path": path, "test": 0.2}))
    with pytest.raises(SourceError, match=r"rows of x_train are \(5,\), those of x_test \(4,\)"):
        load_data(Recipe(data=save(tmp_path, x_train=X, y_train=Y, x_test=X[:7, :4], y_test=Y[:7])))


def test_no_test_rows_where_none_are_asked_for(tmp_path):
    data = load_data(Recipe(data={"path": save(tmp_path, X=X, y=Y), "test": 0.0}))
    assert data.test is None
    assert [len(data.train), len(data.validation)] == [51, 9]


def test_regression_is_standardized_and_inverted(tmp_path):
    targets = X @ [1.0, 2, 3, 4, 5] * 100 + 1000
    data = load_data(Recipe(data=save(tmp_path, X=X, y=targets)))
    assert (data.task, data.outputs, data.class_names) == ("regression", 1, None)
    assert data.train.targets.shape == (42, 1)
    np.testing.assert_allclose(data.train.targets.mean(), 0, atol=1e-5)
    back = data.target_standardization.invert(data.test.targets)[:, 0]
    np.testing.assert_allclose(back, targets[data.test.ids], rtol=1e-5)
    several = load_data(Recipe(data=save(tmp_path, X=X, y=np.stack([targets, -targets], 1))))
    assert (several.task, several.outputs) == ("regression", 2)
    raw = load_data(Recipe(data={"path": save(tmp_path, X=X, y=targets), "standardize": False}))
    assert raw.target_standardization is None
    np.testing.assert_allclose(raw.train.targets[:, 0], targets[raw.train.ids], rtol=1e-6)


def test_two_classes_are_one_logit(tmp_path):
    path = save(tmp_path, X=X, y=np.where(Y == 0, -1, 1))
    data = load_data(Recipe(data=path))
    assert (data.task, data.outputs, data.class_names) == ("binary_classification", 1, ["-1", "1"])
    assert set(data.train.targets[:, 0].tolist()) == {0.0, 1.0}
    assert data.train.targets.dtype == torch.float32
    softmax = load_data(Recipe(data=path, task="classification"))
    assert (softmax.task, softmax.outputs, softmax.train.targets.dtype) == ("classification", 2, torch.int64)


def test_missing_values_are_refused_or_imputed(tmp_path):
    holed = X.copy()
    holed[::7, 2] = np.nan
    path = save(tmp_path, X=holed, y=Y)
    with pytest.raises(SourceError, match=r"row 1 of column 3 is missing \(9 such values\): fill it in, or set"):
        load_data(Recipe(data=path))
    data = load_data(Recipe(data={"path": path, "missing": "impute", "standardize": False}))
    train = holed[data.train.ids]
    np.testing.assert_allclose(everything(data)[0, 2], np.nanmedian(train[:, 2]), rtol=1e-6)


def bad(**changes):
    return {"X": X, "y": Y} | changes


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": X}, "needs arrays X and y, or x_train and y_train; found x"),
        ({"a": X, "b": Y}, "needs arrays X and y, or x_train and y_train; found a, b"),
        (bad(y=Y[:-1]), "60 rows of inputs need as many targets, but these are int64 (59,)"),
        (bad(X=X[:, 0]), "inputs must be numbers of 2 to 4 dimensions, but are float64 (60,)"),
        (bad(X=X[:, :0]), "inputs must be numbers of 2 to 4 dimensions"),
        (bad(X=np.full((60, 2), "a")), "inputs must be numbers of 2 to 4 dimensions, but are <U1"),
        (bad(X=np.array([[{}]] * 60, object)), "pickled objects are not read"),
        (bad(X=np.where(X.max() == X, np.inf, X)), "is infinite"),
        (bad(X=np.where(X.max() == X, 1e200, X)), "1e+200, which is beyond the range of 32-bit numbers"),
        (bad(X=np.full((60, 3, 3), np.nan)), "not finite (540 such values)"),
        (bad(y=np.zeros(60)), "every row has the same class, 0: there is nothing to learn"),
        (bad(y=np.where(Y == 0, np.nan, 1.5)), "the target of row 1 is not a finite number (20 such rows)"),
        (bad(X=X[:2], y=np.array(["a", "b"])), "2 classes in 2 rows are too few rows"),
        (bad(X=X[:2], y=np.array([0.5, 1.5])), "2 rows leave 0 to train on, at least 1 are needed"),
    ],
)
def test_what_cannot_be_learned_from_gets_one_line(tmp_path, arrays, message):
    path = save(tmp_path, **arrays)
    with pytest.raises(SourceError) as caught:
        load_data(Recipe(data=path))
    assert message in str(caught.value)
    assert str(caught.value).startswith(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04junk"])
def test_a_damaged_archive(tmp_path, content):
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"damaged or not an .npz file"):
        load_data(Recipe(data=str(path)))


def test_an_archive_whose_content_is_damaged(tmp_path):
    path = tmp_path / "x.npz"
    np.savez_compressed(path, X=X, y=Y)
    content = bytearray(path.read_bytes())
    content[300:400] = b"\xff" * 100
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"damaged or not an .npz file"):
        load_data(Recipe(data=str(path)))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("X.npy", b"junk")
        archive.writestr("y.npy", b"junk")
    with pytest.raises(SourceError, match=r"damaged or not an .npz file"):
        load_data(Recipe(data=str(path)))


def test_a_single_array_is_no_archive(tmp_path):
    np.save(tmp_path / "x.npy", X)
    (tmp_path / "x.npy").rename(tmp_path / "x.npz")
    with pytest.raises(SourceError, match="is a single array"):
        load_data(Recipe(data=str(tmp_path / "x.npz")))


@pytest.mark.parametrize(
    ("targets", "task"),
    [
        (np.arange(60) % 10, "classification"),
        (np.arange(60.0) % 10, "classification"),
        (np.arange(60) % 2 == 0, "binary_classification"),
        (np.arange(60) % 30, "regression"),
        (np.arange(60), "regression"),
        (np.arange(60) % 3 + 0.5, "regression"),
        (np.array(["b", "a", "c"] * 20), "classification"),
    ],
)
def test_the_task_is_inferred_from_the_targets(tmp_path, targets, task):
    assert load_data(Recipe(data=save(tmp_path, X=X, y=targets))).task == task


@pytest.mark.parametrize(
    ("targets", "task", "message"),
    [
        (Y, "binary_classification", "binary_classification needs 2 classes, but .* has 3: set data.target: even"),
        (
            np.array(["b", "a", "c"] * 20),
            "regression",
            "regression needs numbers, but the targets of .* are text such as 'b'",
        ),
        (np.zeros((60, 2)), "classification", r"classes need one label a row, but .* have shape \(60, 2\)"),
    ],
)
def test_a_task_that_does_not_fit(tmp_path, targets, task, message):
    with pytest.raises(InputError, match=f"task: {message}"):
        load_data(Recipe(data=save(tmp_path, X=X, y=targets), task=task))


def test_even_against_odd(tmp_path):
    data = load_data(Recipe(data={"path": save(tmp_path, X=X, y=Y), "target": "even"}))
    assert (data.task, data.class_names) == ("binary_classification", ["odd", "even"])
    assert (data.train.targets[:, 0].numpy() == (Y[data.train.ids] % 2 == 0)).all()
    with pytest.raises(InputError, match="even needs whole-number labels"):
        load_data(Recipe(data={"path": save(tmp_path, X=X, y=Y + 0.5), "target": "even"}))
