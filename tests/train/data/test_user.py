import numpy as np
import pytest
import torch
from scipy.sparse import coo_matrix
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from weightsmith.errors import InputError
from weightsmith.train.data import from_datasets

X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
Y = np.arange(40) % 4


class Squares(Dataset):
    def __len__(self):
        return 40

    def __getitem__(self, row):
        if not 0 <= row < 40:
            raise IndexError(row)
        return torch.from_numpy(X[row]), int(Y[row])


class Endless(IterableDataset):
    def __iter__(self):
        yield X[0], 0


@pytest.mark.parametrize(
    "given",
    [
        (X, Y),
        (X.astype(np.float64), list(Y)),
        (torch.from_numpy(X), torch.from_numpy(Y)),
        (coo_matrix(X), Y),
        TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)),
        Squares(),
        DataLoader(Squares(), batch_size=7, shuffle=True),
    ],
)
def test_every_kind_of_source_gives_the_same_rows(given):
    data = from_datasets(given, seed=3)
    assert (data.task, data.outputs, data.input_shape, data.test) == ("classification", 4, (3,), None)
    assert [len(data.train), len(data.validation)] == [34, 6]
    for part in (data.train, data.validation):
        inputs, targets = part.batch(torch.tensor([2, 0, 1]))
        ids = part.ids[[2, 0, 1]]
        np.testing.assert_array_equal(inputs, X[ids])
        np.testing.assert_array_equal(targets, Y[ids])
    assert sorted([*data.train.ids.tolist(), *data.validation.ids.tolist()]) == list(range(40))


def test_parts_that_are_given_are_used():
    data = from_datasets((X, Y), (X[:5], Y[:5]), Squares())
    assert [len(part) for part in (data.train, data.validation, data.test)] == [40, 5, 40]
    np.testing.assert_array_equal(data.validation.batch(torch.arange(5))[0], X[:5])
    np.testing.assert_array_equal(data.test.targets, Y)


def test_a_class_has_one_number_in_every_part():
    data = from_datasets((X, np.where(Y > 1, "b", "c")), (X[:3], np.array(["c", "b", "a"])), task="classification")
    assert data.class_names == ["a", "b", "c"]
    assert data.validation.targets.tolist() == [2, 1, 0]


def test_images_sequences_bytes_and_targets_of_a_dataset():
    images = from_datasets((np.zeros((40, 3, 8, 8), np.uint8), Y == 1))
    assert (images.is_image, images.task, images.train.inputs.dtype) == (True, "binary_classification", torch.uint8)
    assert images.train.batch(torch.arange(2))[0].dtype == torch.float32
    sequences = from_datasets((np.zeros((40, 8, 2)), X[:, :2]))
    assert (sequences.is_sequence, sequences.task, sequences.outputs) == (True, "regression", 2)
    dataset = Squares()
    dataset.targets = Y * 0.5 + X[:, 0]
    regression = from_datasets(dataset)
    assert regression.train.targets.shape == (34, 1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (Endless(), "train: an iterable dataset has no rows to choose from"),
        (DataLoader(Endless()), "train: an iterable dataset has no rows to choose from"),
        ((X, Y[:-1]), "train: 40 rows of inputs need as many targets"),
        ((X[:0], Y[:0]), "train: 0 rows of inputs need as many targets"),
        (X, "train: must be a dataset, a loader or a pair"),
        (3, "train: must be a dataset, a loader or a pair"),
        ((X[:, 0], Y), r"train: inputs need a row and a feature dimension, got shape \(40,\)"),
        ((X.astype(str), Y), "train: inputs must be numbers"),
        ((X, np.zeros(40)), "data: every row has the same class"),
        ((X[:1], X[:1]), "data: 1 training rows leave none to train on"),
    ],
)
def test_what_cannot_be_used_gets_one_line(given, message):
    with pytest.raises(InputError, match=f"^{message}"):
        from_datasets(given)
