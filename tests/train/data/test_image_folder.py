import numpy as np
import pytest
import torch
from PIL import Image

from weightsmith.errors import SourceError
from weightsmith.train.data import load_data
from weightsmith.train.recipe import Recipe

RANDOM = np.random.default_rng(0)


def write(folder, name, pixels, group="cat"):
    (folder / group).mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(folder / group / name)


def gray(height=6, width=5):
    return RANDOM.integers(0, 256, (height, width), np.uint8)


def fill(folder, count=12, pixels=gray):
    for group in ("cat", "dog"):
        for number in range(count):
            write(folder, f"{number:02}.png", pixels(), group)


def load(folder, **options):
    return load_data(Recipe(data={"path": str(folder), **options}))


def test_classes_are_the_folders(tmp_path):
    fill(tmp_path)
    (tmp_path / ".cache").mkdir()
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    data = load(tmp_path, standardize=False)
    assert (data.task, data.class_names, data.input_shape) == ("binary_classification", ["cat", "dog"], (1, 6, 5))
    assert len(data.train) + len(data.validation) + len(data.test) == 24
    assert data.train.inputs.dtype == torch.uint8
    inputs, targets = data.train.batch(torch.arange(len(data.train)))
    for row, pixels, target in zip(data.train.ids.tolist(), inputs, targets[:, 0].tolist(), strict=True):
        group, number = ("cat", row) if row < 12 else ("dog", row - 12)
        assert target == (group == "dog")
        assert (pixels[0].numpy() == np.asarray(Image.open(tmp_path / group / f"{number:02}.png"))).all()


def test_color_and_gray(tmp_path):
    fill(tmp_path)
    assert load(tmp_path).input_shape == (1, 6, 5)
    assert load(tmp_path, color=True).input_shape == (3, 6, 5)
    write(tmp_path, "z.png", RANDOM.integers(0, 256, (6, 5, 3), np.uint8))
    data = load(tmp_path)
    assert data.input_shape == (3, 6, 5)
    assert data.standardization.mean.shape == (3, 1, 1)
    assert load(tmp_path, color=False).input_shape == (1, 6, 5)


def test_sizes(tmp_path):
    fill(tmp_path)
    write(tmp_path, "other.png", gray(9, 9))
    with pytest.raises(SourceError, match=r"other.png: is 9 x 9, but 00.png is 6 x 5: set data.image_size"):
        load(tmp_path)
    assert load(tmp_path, image_size=8).input_shape == (1, 8, 8)
    assert load(tmp_path, image_size=[4, 7]).input_shape == (1, 4, 7)


def test_train_and_test_folders(tmp_path):
    fill(tmp_path / "train", 20)
    fill(tmp_path / "test", 3)
    data = load(tmp_path)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [34, 6, 6]
    write(tmp_path / "test", "0.png", gray(), "bird")
    with pytest.raises(SourceError, match="class bird is in the test set but not in the training set"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"), [(b"junk", "x.png: not an image"), (b"", "x.png: not an image"), (None, "x.png: ")]
)
def test_a_damaged_image_is_named(tmp_path, content, message):
    fill(tmp_path)
    path = tmp_path / "dog" / "x.png"
    if content is None:
        Image.fromarray(RANDOM.integers(0, 256, (64, 64), np.uint8)).save(path)
        content = path.read_bytes()[:2000]
    path.write_bytes(content)
    with pytest.raises(SourceError, match=message) as caught:
        load(tmp_path, image_size=6)
    assert "\n" not in str(caught.value)


def test_one_class_and_no_images(tmp_path):
    for number in range(5):
        write(tmp_path, f"{number}.png", gray())
    with pytest.raises(SourceError, match="every row has the same class, cat"):
        load(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="holds neither IDX files"):
        load(tmp_path / "empty")
