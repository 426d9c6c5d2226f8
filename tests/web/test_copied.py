"""What the page computes of a weight maps no file: one that is cut off meanwhile would kill the server."""

import mmap

import numpy as np
import pytest

from weightsmith.errors import SourceError
from weightsmith.sources import LocalFile, write_safetensors
from weightsmith.web.copied import Copied

PARTS = ("correlation", "embedding", "spectrum", "tiles/0/0/0", "marginals", "difference?against=f1")


@pytest.fixture
def forbid_mapping(monkeypatch):
    """From its call on whatever is larger than 16 bytes would be mapped, and mapping fails the test."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a file was mapped")

    def forbid() -> None:
        monkeypatch.setattr("weightsmith.sources.file.MAPPED", 16)
        monkeypatch.setattr(mmap, "mmap", refuse)

    return forbid


@pytest.mark.parametrize("turned", [False, True])
def test_nothing_is_mapped(serve, weights_file, tmp_path, small, turned, forbid_mapping):
    other = tmp_path / "other.safetensors"
    order = np.random.default_rng(2).permutation(len(small))
    write_safetensors(other, {"small.weight": small[order] if turned else small * 2, "b": small})
    client = serve(weights_file, other)
    assert [client.get(f"/api/sources/{source}").status_code for source in ("f0", "f1")] == [200, 200]
    forbid_mapping()
    for part in PARTS:
        response = client.get(f"/api/sources/f0/weights/1/{part}")
        assert response.status_code == 200, (part, response.text)
    response = client.get("/api/compare/weights?source=f0&source=f1")
    assert response.status_code == 200, response.text
    kinds = {one["before"]["name"]: one["relation"] for one in response.json()["changes"]}
    assert kinds["small.weight"] == ("reordered" if turned else "changed")


def test_a_copy_holds_the_bytes_and_knows_its_bounds(tmp_path):
    path = tmp_path / "bytes"
    path.write_bytes(bytes(range(100)))
    file = Copied(LocalFile(path))
    assert bytes(file.view(10, 5)) == bytes(range(10, 15))
    assert file.view(0, 100).readonly
    assert file.identity() == LocalFile(path).identity()
    for start, length in ((90, 11), (-1, 5), (0, 101)):
        with pytest.raises(SourceError, match="lie outside"):
            file.view(start, length)
    path.write_bytes(b"short")
    with pytest.raises(SourceError, match="shorter"):
        file.view(10, 50)
