"""A weight beside another step's or file's, against NumPy over the arrays that were written."""

import numpy as np
import pytest

from weightsmith.sources import write_safetensors
from weightsmith.weight import WeightInfo


def tile_of(response):
    assert response.status_code == 200, response.text
    shape = int(response.headers["x-rows"]), int(response.headers["x-columns"])
    return np.frombuffer(response.content, "<f4").reshape(shape)


@pytest.fixture
def files(serve, weights_file, tmp_path, small):
    """The file of the other tests as f0, one with another `small.weight` as f1, one that differs in shape as f2."""
    changed, wrong = tmp_path / "changed.safetensors", tmp_path / "wrong.safetensors"
    write_safetensors(changed, {"zero": np.zeros(3, np.float32), "small.weight": small * 2 + 1})
    write_safetensors(wrong, {"small.weight": small[:, :5].copy()})
    return serve(weights_file, changed, wrong)


def test_counterparts_have_the_name_and_the_shape(files):
    found = files.get("/api/sources/f0/weights/1/counterparts").json()["counterparts"]
    assert [(one["source"], one["step"]) for one in found] == [("f1", None)]
    assert files.get("/api/sources/f0/weights/2/counterparts").json() == {"counterparts": []}


def test_other_steps_of_a_run_are_counterparts(client, record, small):
    key = record()
    base = f"/api/sources/s0~{key}~1000/weights/0"
    found = client.get(f"{base}/counterparts").json()["counterparts"]
    assert [(one["group"], one["source"], one["step"]) for one in found] == [("steps", f"s0~{key}~0", 0)]
    tile = tile_of(client.get(f"{base}/tiles/0/0/0", params={"against": f"s0~{key}~0"}))
    np.testing.assert_array_equal(tile, small * 2 - small)
    facts = client.get(f"{base}/difference", params={"against": f"s0~{key}~0"}).json()
    assert facts["relative"] == pytest.approx(1.0)
    assert facts["statistics"]["norm"] == pytest.approx(np.linalg.norm(small.astype(float)))
    assert facts["statistics"]["zeros"] == 0


def test_other_runs_with_such_a_weight_are_counterparts(client, record, store, small, monkeypatch):
    older, newer = record("older"), record("newer")
    writer = store.create_run(
        name="shape", recipe=None, environment={}, weights=[WeightInfo("fc.weight", (3, 3), "float32", "linear")]
    )
    writer.snapshot(5, {"fc.weight": np.zeros((3, 3), np.float32)})
    writer.finish("completed")
    base = f"/api/sources/s0~{newer}~1000/weights/0"
    found = client.get(f"{base}/counterparts").json()["counterparts"]
    assert [(one["group"], one["step"]) for one in found] == [("steps", 0), ("runs", 1000)]
    assert found[1]["label"] == "older"
    other = f"s0~{older}~1000"
    tile = tile_of(client.get(f"{base}/tiles/0/0/0", params={"against": other}))
    np.testing.assert_array_equal(tile, np.zeros_like(small))
    monkeypatch.setattr("weightsmith.web.routes.difference.RUNS", 0)
    assert len(client.get(f"{base}/counterparts").json()["counterparts"]) == 1
    found = client.get(f"{base}/counterparts", params={"also": other}).json()["counterparts"]
    assert [one["source"] for one in found[1:]] == [other]
    for nothing in ("s0~none~3", "f9", "../x"):
        assert len(client.get(f"{base}/counterparts", params={"also": nothing}).json()["counterparts"]) == 1


def test_tiles_and_margins_of_the_difference_and_of_the_other(files, small):
    base, other = "/api/sources/f0/weights/1", small * 2 + 1
    wide = small.astype(np.float64) - other.astype(np.float64)
    found = tile_of(files.get(f"{base}/tiles/0/0/0", params={"against": "f1"}))
    np.testing.assert_array_equal(found, wide.astype(np.float32))
    norms = files.get(f"{base}/marginals", params={"against": "f1"}).json()["norms"]
    np.testing.assert_allclose(norms, np.linalg.norm(wide, axis=1), rtol=1e-6)
    found = tile_of(files.get(f"{base}/tiles/0/0/0", params={"against": "f1", "show": "other"}))
    np.testing.assert_array_equal(found, other)


def test_the_other_stands_in_this_ones_order(files, small):
    base = "/api/sources/f0/weights/1"
    order = files.get(f"{base}/order", params={"rows": "norm", "columns": "similarity"}).json()
    asked = {"rows": "norm", "columns": "similarity", "against": "f1", "show": "other"}
    expected = (small * 2 + 1)[order["rows"]][:, order["columns"]]
    np.testing.assert_array_equal(tile_of(files.get(f"{base}/tiles/0/0/0", params=asked)), expected)


def test_a_tile_is_another_when_the_other_file_changes(files, tmp_path, small):
    base = "/api/sources/f0/weights/1/tiles/0/0/0?against=f1"
    before = files.get(base)
    write_safetensors(tmp_path / "changed.safetensors", {"small.weight": small})
    after = files.get(base, headers={"if-none-match": before.headers["etag"]})
    np.testing.assert_array_equal(tile_of(after), np.zeros_like(small))
    facts = files.get("/api/sources/f0/weights/1/difference?against=f1").json()
    assert (facts["statistics"]["zeros"], facts["relative"]) == (small.size, 0.0)


@pytest.mark.parametrize(
    ("address", "status"),
    [
        *(("1/difference?against=f9", 404), ("1/difference?against=f2", 400), ("2/difference?against=f1", 404)),
        *(("1/difference", 422), ("1/tiles/0/0/0?against=../x", 404), ("1/tiles/0/0/0?against=f1&show=sum", 422)),
        *((f"1/tiles/0/0/0?against={'f' * 101}", 422), ("9/counterparts", 404)),
    ],
)
def test_what_cannot_be_compared_is_one_line(files, address, status, error_of):
    response = files.get(f"/api/sources/f0/weights/{address}")
    assert response.status_code == status, response.text
    error_of(response)


def test_a_file_that_is_gone_is_no_counterpart_and_breaks_nothing(files, tmp_path):
    (tmp_path / "changed.safetensors").unlink()
    assert files.get("/api/sources/f0/weights/1/counterparts").json() == {"counterparts": []}
    assert files.get("/api/sources/f0/weights/1/tiles/0/0/0?against=f1").status_code == 409
    assert files.get("/api/sources/f0/weights/1/tiles/0/0/0").status_code == 200
