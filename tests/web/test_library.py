"""An address may pin the content that it means: what was computed of other content is never shown under it."""

import os

import numpy as np
import pytest

from weightsmith.sources import open as open_source
from weightsmith.sources import write_safetensors

PARTS = (
    "",
    "/tiles/0/0/0",
    "/marginals",
    "/order?rows=norm",
    "/counterparts",
    "/correlation",
    "/spectrum",
    "/embedding",
)


@pytest.fixture
def content(client):
    return client.get("/api/sources/f0").json()["content"]


@pytest.mark.parametrize("part", PARTS)
def test_an_address_with_a_tag_ends_with_the_content(client, content, weights_file, small, part, error_of):
    address = f"/api/sources/f0@{content}/weights/1{part}"
    assert client.get(address).status_code == 200
    write_safetensors(weights_file, {"other": small[0].copy(), "small.weight": small * 2})
    response = client.get(address)
    assert response.status_code == 409
    assert error_of(response).endswith("model.safetensors has changed since it was opened")
    fresh = client.get("/api/sources/f0/weights/1").json()
    assert fresh["content"] not in (content, None)
    assert client.get(f"/api/sources/f0@{fresh['content']}/weights/1{part}").status_code == 200


def test_the_scan_and_the_other_of_a_difference_are_pinned_too(serve, weights_file, tmp_path, small, error_of):
    other = tmp_path / "other.safetensors"
    write_safetensors(other, {"small.weight": small * 2})
    client = serve(weights_file, other)
    content = client.get("/api/sources/f1").json()["content"]
    address = f"/api/sources/f0/weights/1/tiles/0/0/0?against=f1@{content}"
    assert client.get(address).status_code == 200
    write_safetensors(other, {"small.weight": small * 3})
    assert "other.safetensors has changed" in error_of(client.get(address))
    assert client.get(f"/api/sources/f1@{content}/statistics").status_code == 409


def test_a_file_touched_or_gone_has_another_tag(client, content, weights_file, error_of):
    moment = weights_file.stat().st_mtime + 5
    os.utime(weights_file, (moment, moment))
    assert client.get(f"/api/sources/f0@{content}").status_code == 409
    weights_file.unlink()
    response = client.get(f"/api/sources/f0@{content}")
    assert response.status_code == 409
    assert "is gone" in error_of(response)


def test_live_weights_have_no_tag(serve):
    torch = pytest.importorskip("torch")
    client = serve(open_source(torch.nn.Linear(4, 3)))
    assert client.get("/api/sources/f0").json()["content"] is None
    assert client.get("/api/sources/f0/weights/0").json()["content"] is None
    assert client.get("/api/sources/f0@live/weights/0").status_code == 409


def test_snapshots_have_tags_that_last(client, record):
    source = f"s0~{record()}~1000"
    content = client.get(f"/api/sources/{source}").json()["content"]
    assert client.get(f"/api/sources/{source}@{content}/weights/0").json()["content"] == content
    values = client.get(f"/api/sources/{source}@{content}/weights/0/tiles/0/0/0")
    assert np.frombuffer(values.content, "<f4").size == 240
