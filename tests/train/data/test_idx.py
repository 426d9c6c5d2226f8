import gzip

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis.extra import numpy as hnp

from weightsmith.errors import SourceError
from weightsmith.train.data import load_data
from weightsmith.train.data.idx import read_idx
from weightsmith.train.recipe import Recipe


def encode(array):
    lengths = np.array(array.shape, ">u4").tobytes()
    return bytes([0, 0, 8, array.ndim]) + lengths + np.ascontiguousarray(array, np.uint8).tobytes()


def write(folder, part="train", rows=20, side=4, ending="", labels=None):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (rows, side, side), np.uint8)
    labels = np.arange(rows) % 2 if labels is None else labels
    pack = gzip.compress if ending == ".gz" else bytes
    (folder / f"{part}-images-idx3-ubyte{ending}").write_bytes(pack(encode(images)))
    (folder / f"{part}-labels-idx1-ubyte{ending}").write_bytes(pack(encode(np.asarray(labels))))
    return images


@given(array=hnp.arrays(np.uint8, hnp.array_shapes(max_dims=4, min_side=0, max_side=5)))
def test_round_trip(tmp_path_factory, array):
    folder = tmp_path_factory.mktemp("idx")
    (folder / "plain").write_bytes(encode(array))
    (folder / "zipped.gz").write_bytes(gzip.compress(encode(array)))
    for name in ("plain", "zipped.gz"):
        found = read_idx(folder / name)
        assert found.shape == array.shape
        assert (found == array).all()


GOOD = encode(np.zeros((2, 3, 3), np.uint8))
# The time is left out of the headers: test names hold these bytes, and every worker must collect the same names.
ANNOUNCING = gzip.compress(b"\0\0\x08\x01\xff\xff\xff\xff", mtime=0)
ZIPPED = gzip.compress(bytes([0, 0, 8, 1, 0, 0, 16, 0]) + np.random.default_rng(0).bytes(4096), mtime=0)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x", b"", "not an IDX file: it starts with nothing"),
        ("x", b"PK\x03\x04....", "not an IDX file: it starts with 50 4b 03 04"),
        ("x", b"\0\0\x08\0", "not an IDX file"),
        ("x", b"\0\0\x0d" + GOOD[3:], "values of type 0x0d are not supported"),
        ("x", GOOD[:9], "truncated in its header"),
        ("x", GOOD[:-1], "truncated: the header announces 18 values, 17 follow"),
        ("x", GOOD + b"!", "more bytes follow than the 18 values"),
        ("x", b"\0\0\x08\x02" + b"\xff" * 8, "truncated: the header announces 18,446,744,065,119,617,025 values"),
        ("x.gz", GOOD, "truncated or damaged gzip file"),
        ("x.gz", ZIPPED[:2000], "truncated or damaged gzip file"),
        ("x.gz", ZIPPED[:100] + b"\xff" * 50 + ZIPPED[150:], "truncated or damaged gzip file"),
        ("x.gz", ANNOUNCING, "truncated: the header announces 4,294,967,295"),
    ],
)
def test_a_malformed_file_gets_one_line(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SourceError) as caught:
        read_idx(path)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_a_folder_with_its_published_test_set(tmp_path, ending):
    images = write(tmp_path, rows=40, ending=ending)
    write(tmp_path, "t10k", rows=10, ending=ending)
    data = load_data(Recipe(data={"path": str(tmp_path), "standardize": False}))
    assert (data.task, data.input_shape, data.is_image) == ("binary_classification", (1, 4, 4), True)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [34, 6, 10]
    assert list(data.test.ids) == list(range(10))
    inputs, targets = data.train.batch(torch.arange(34))
    assert (inputs[:, 0].numpy() == images[data.train.ids]).all()
    assert (targets[:, 0].numpy() == data.train.ids.numpy() % 2).all()


def test_without_a_test_set_one_is_split_off(tmp_path):
    write(tmp_path, rows=100)
    data = load_data(Recipe(data=str(tmp_path)))
    assert [len(part) for part in (data.train, data.validation, data.test)] == [70, 15, 15]


def test_files_that_do_not_fit_together(tmp_path):
    write(tmp_path, labels=[0, 1, 2])
    with pytest.raises(SourceError, match="labels-idx1-ubyte: must hold 20 labels for as many images"):
        load_data(Recipe(data=str(tmp_path)))
    write(tmp_path)
    write(tmp_path, "t10k", side=5)
    with pytest.raises(SourceError, match="test images are"):
        load_data(Recipe(data=str(tmp_path)))
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(SourceError, match="the file t10k-labels-idx1-ubyte is missing"):
        load_data(Recipe(data=str(tmp_path)))


def test_a_test_label_that_training_never_saw(tmp_path):
    write(tmp_path)
    write(tmp_path, "t10k", rows=4, labels=[0, 1, 7, 0])
    with pytest.raises(SourceError, match="class 7 is in the test set but not in the training set"):
        load_data(Recipe(data=str(tmp_path)))


def test_mnist_is_read_as_published(shared):
    data = load_data(Recipe(data=str(shared / "data" / "mnist")))
    assert [len(part) for part in (data.train, data.validation, data.test)] == [51_000, 9_000, 10_000]
    assert (data.input_shape, data.outputs, data.task) == ((1, 28, 28), 10, "classification")
    # The mean of all 60,000 training images, as published with the set; ours is that of the 51,000 trained on.
    assert float(data.standardization.mean) == pytest.approx(33.3184, rel=0.005)
    assert data.test.targets[:5].tolist() == [7, 2, 1, 0, 4]
    inputs, _ = data.train.batch(torch.arange(5000))
    assert abs(float(inputs.mean())) < 0.02
    assert float(inputs.std()) == pytest.approx(1, abs=0.02)
