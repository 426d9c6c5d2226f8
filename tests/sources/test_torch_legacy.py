import collections
import io
import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from weightsmith.errors import SourceError
from weightsmith.sources.torch_zip import open_torch

REAL = [
    "resemblyzer/pretrained.pt",
    *(f"lpips/{name}.pth" for name in ("alex", "squeeze", "vgg")),
    *(f"facenet_mtcnn/{name}.pt" for name in ("onet", "pnet", "rnet")),
]
SYSTEM = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}


def saved(path: Path, value: object) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=False)
    return path


def read_all(path: Path) -> dict[str, np.ndarray]:
    return {name: weight.read() for name, weight in open_torch(path).items()}


def refused(path: Path, words: str | None = None) -> None:
    with pytest.raises(SourceError, match=words) as caught:
        read_all(path)
    assert str(caught.value).isprintable()
    assert path.name in str(caught.value)


class Stored:
    """Pickled as a persistent id."""

    def __init__(self, *identity: object) -> None:
        self.identity = identity


class Viewed:
    """Pickled as a tensor of a storage."""

    def __init__(self, storage: Stored, offset: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> None:
        self.arguments = storage, offset, shape, stride

    def __reduce__(self):
        return torch._utils._rebuild_tensor, self.arguments


def forged(
    path: Path, value: object, keys: object, storages: list[tuple[int, bytes]], magic=None, protocol=1001
) -> Path:
    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            return value.identity if isinstance(value, Stored) else None

    buffer = io.BytesIO()
    for part in (0x1950A86A20F9469CFC6C if magic is None else magic, protocol, SYSTEM):
        pickle.dump(part, buffer, 2)
    Pickler(buffer, 2).dump(value)
    pickle.dump(keys, buffer, 2)
    for count, data in storages:
        buffer.write(struct.pack("<q", count) + data)
    path.write_bytes(buffer.getvalue())
    return path


def float_storage(key: object = "7", count: object = 6, view: object = None, location: str = "cuda:0") -> Stored:
    return Stored("storage", torch.FloatStorage, key, location, count, view)


FLOATS = np.arange(6, dtype="<f4").tobytes()


@pytest.mark.parametrize("name", REAL)
def test_real_files_agree_with_torch(shared, name):
    path = shared / "weights" / name
    expected = torch.load(path, weights_only=True, map_location="cpu")
    expected = expected.get("model_state", expected)
    source = open_torch(path)
    assert list(source) == [name for name, value in expected.items() if isinstance(value, torch.Tensor)]
    for key, weight in source.items():
        assert np.array_equal(weight.read(), expected[key].detach().numpy())
        assert (weight.place is not None) == expected[key].is_contiguous()
    assert source.file_format == "torch"


def test_the_real_checkpoint_tells_its_step_and_optimizer(shared):
    source = open_torch(shared / "weights" / "resemblyzer" / "pretrained.pt")
    assert source.metadata == {"step": "1564501"}
    assert [(aside.name, aside.reason) for aside in source.aside] == [("optimizer_state", "optimizer state")]


def test_views_of_old_files(tmp_path):
    root = float_storage()
    view = float_storage(view=("8", 2, 3))
    value = collections.OrderedDict(
        whole=Viewed(root, 0, (2, 3), (3, 1)), part=Viewed(view, 1, (2,), (1,)), turned=Viewed(root, 0, (3, 2), (1, 3))
    )
    source = open_torch(forged(tmp_path / "a.pt", value, ["7"], [(6, FLOATS)]))
    assert source["whole"].read().tolist() == [[0, 1, 2], [3, 4, 5]]
    assert source["part"].read().tolist() == [3, 4]
    assert source["turned"].read().tolist() == [[0, 3], [1, 4], [2, 5]]


@pytest.mark.parametrize(
    ("tensor", "keys", "storages"),
    [
        (Viewed(float_storage(), 1, (2, 3), (3, 1)), ["7"], [(6, FLOATS)]),
        (Viewed(float_storage(), 0, (2, 3), (3, 1)), ["7"], [(5, FLOATS)]),
        (Viewed(float_storage(), 0, (2, 3), (3, 1)), ["7"], [(6, FLOATS[:-1])]),
        (Viewed(float_storage(count=1 << 60), 0, (2, 3), (3, 1)), ["7"], [(1 << 60, FLOATS)]),
        (Viewed(float_storage(count=-1), 0, (2, 3), (3, 1)), ["7"], [(-1, FLOATS)]),
        (Viewed(float_storage(), 0, (2, 3), (3, 1)), ["8"], [(6, FLOATS)]),
        (Viewed(float_storage(), 0, (2, 3), (3, 1)), ["7", "7"], [(6, FLOATS), (6, FLOATS)]),
        (Viewed(float_storage(), 0, (2, 3), (3, 1)), [], []),
        (Viewed(float_storage(), 0, (2, 3), (3, 1)), ["7"], []),
        (Viewed(float_storage(), 0, (2, 3), (3, 1)), [7], [(6, FLOATS)]),
        (Viewed(float_storage(), 0, (2, 3), (3, 1)), "7", [(6, FLOATS)]),
        (Viewed(float_storage(view=("8", 4, 3)), 0, (1,), (1,)), ["7"], [(6, FLOATS)]),
        (Viewed(float_storage(view=("8", 2, 3)), 1, (3,), (1,)), ["7"], [(6, FLOATS)]),
        (Viewed(float_storage(view=("8", -1, 3)), 0, (1,), (1,)), ["7"], [(6, FLOATS)]),
        (Viewed(float_storage(view=(1,)), 0, (1,), (1,)), ["7"], [(6, FLOATS)]),
        (Viewed(Stored("storage", "FloatStorage", "7", "cpu", 6, None), 0, (1,), (1,)), ["7"], [(6, FLOATS)]),
        (Viewed(Stored("storage"), 0, (1,), (1,)), ["7"], [(6, FLOATS)]),
        (Viewed(Stored("module", "Net", "net.py", "class Net: ..."), 0, (1,), (1,)), [], []),
        ([Viewed(float_storage(), 0, (1,), (1,)), Viewed(float_storage(count=5), 0, (1,), (1,))], ["7"], [(6, FLOATS)]),
    ],
    ids=lambda value: None,
)
def test_lies_are_refused(tmp_path, tensor, keys, storages):
    refused(forged(tmp_path / "a.pt", {"w": tensor}, keys, storages))


def test_the_forgery_itself_is_sound(tmp_path):
    value = {"w": Viewed(float_storage(), 0, (2, 3), (3, 1))}
    assert read_all(forged(tmp_path / "a.pt", value, ["7"], [(6, FLOATS)]))["w"].sum() == 15


def test_other_files_are_refused(tmp_path):
    refused(forged(tmp_path / "a.pt", {}, [], [], magic=3), "torch.save did not write")
    refused(forged(tmp_path / "b.pt", {}, [], [], protocol=1002), "version")
    path = tmp_path / "old.pt"
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("sys_info"))
    refused(path, "before 0.1.10")


def test_every_truncation_is_refused(tmp_path):
    data = saved(tmp_path / "whole.pt", {"w": torch.ones(3), "b": torch.zeros(2)}).read_bytes()
    path = tmp_path / "cut.pt"
    for length in range(len(data)):
        path.write_bytes(data[:length])
        refused(path)


def test_a_file_that_shrinks_while_it_is_open_is_refused(tmp_path):
    path = saved(tmp_path / "a.pt", {"w": torch.ones(3000)})
    source = open_torch(path)
    with path.open("r+b") as file:
        file.truncate(600)
    with pytest.raises(SourceError, match="became shorter"):
        source["w"].read()


@given(st.data())
def test_mutations_are_read_or_refused(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp()
    value = {"epoch": 3, "model": {"w": torch.ones(2, 3).t(), "b": torch.ones(3), "n": np.ones(2)}}
    raw = bytearray(saved(folder / "small.pt", value).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(0, len(raw) - 1)))
        raw[at : at + data.draw(st.sampled_from([0, 1, 1, 1, 4, 100]))] = data.draw(st.binary(max_size=4))
    path = folder / "mutated.pt"
    path.write_bytes(bytes(raw))
    try:
        read_all(path)
    except SourceError as error:
        message = str(error)
    else:
        return
    assert message.isprintable()
