"""The addresses about weights, against NumPy over the arrays that were written."""

import json
import os
import warnings

import numpy as np
import pytest

from weightsmith.sources import write_safetensors


def events_of(response):
    """Server-sent events as pairs of kind and data."""
    found = []
    for block in response.text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


def tile_of(response):
    shape = int(response.headers["x-rows"]), int(response.headers["x-columns"])
    return np.frombuffer(response.content, "<f4").reshape(shape)


def test_a_file_lists_its_weights(client, weights_file):
    found = client.get("/api/sources/f0").json()
    assert (found["id"], found["label"], found["format"]) == ("f0", str(weights_file), "safetensors")
    assert [(w["index"], w["name"], w["shape"], w["elements"], w["bytes"]) for w in found["weights"]] == [
        (0, "big.weight", [700, 300], 210_000, 840_000),
        (1, "small.weight", [24, 10], 240, 960),
        (2, "small.bias", [24], 24, 96),
    ]
    assert found["weights"][0]["role"] == "linear"


def test_weights_have_their_place_in_the_model(serve, tmp_path):
    path = tmp_path / "deep.safetensors"
    names = ["layer.0.w", "layer.10.w", "layer.2.w", "output.w"]
    write_safetensors(path, {name: np.ones((2, 2), np.float32) for name in names})
    found = serve(path).get("/api/sources/f0").json()["weights"]
    assert {one["name"]: one["depth"] for one in found} == dict(zip(names, (0, 2, 1, 3), strict=True))


def test_a_snapshot_is_a_source(client, record, small):
    key = record()
    found = client.get(f"/api/sources/s0~{key}~1000").json()
    assert [weight["name"] for weight in found["weights"]] == ["fc.weight", "fc.bias"]
    response = client.get(f"/api/sources/s0~{key}~1000/weights/0/tiles/0/0/0")
    np.testing.assert_array_equal(tile_of(response), small * 2)


def test_statistics_come_weight_by_weight_and_the_second_time_from_the_cache(client, weights_file, small, matrix):
    os.utime(weights_file, (1, 1))
    for _ in range(2):
        response = client.get("/api/sources/f0/statistics")
        assert response.headers["content-type"].startswith("text/event-stream")
        events = events_of(response)
        assert events[-1] == ("done", {})
        facts = {data["index"]: data for kind, data in events if kind == "weight"}
        assert sorted(facts) == [0, 1, 2]
        assert facts[0]["nan"] == np.isnan(matrix).sum()
        assert facts[0]["maximum"] == 40.0
        assert facts[1]["mean"] == pytest.approx(small.mean(dtype=np.float64))
        assert facts[1]["std"] == pytest.approx(small.std(dtype=np.float64))
        histogram = facts[1]["histogram"]
        assert len(histogram["edges"]) == len(histogram["counts"]) + 1 <= 33
        assert sum(histogram["counts"]) == pytest.approx(small.size)


def test_one_weight_is_told_in_full(client, matrix):
    found = client.get("/api/sources/f0/weights/0").json()
    finite = matrix[np.isfinite(matrix)].astype(np.float64)
    assert found["statistics"]["mean"] == pytest.approx(finite.mean())
    assert found["statistics"]["nan"] == np.isnan(matrix).sum()
    assert found["quantiles"]["0.5"] == pytest.approx(np.quantile(finite, 0.5), abs=0.02)
    assert sum(found["histogram"]["counts"]) == pytest.approx(len(finite))
    assert found["matrix"] == {"rows": 700, "columns": 300, "levels": 3, "tile": 256}
    order = np.argsort(-np.abs(np.nan_to_num(matrix)), axis=None)[:50]
    expected = [[int(i) // 300, int(i) % 300, float(matrix.flat[i])] for i in order]
    assert [[one["row"], one["column"], one["value"]] for one in found["outliers"]] == expected
    assert found["outliers"][0] == {"row": 3, "column": 4, "value": 40.0}


@pytest.mark.parametrize("statistic", ["mean", "minimum", "maximum", "magnitude"])
def test_tiles_of_every_level_are_numpys(client, matrix, statistic):
    wide = matrix.astype(np.float64)
    for level, down, across in ((0, 3, 2), (1, 2, 1), (2, 1, 1)):
        side = 2**level
        for row in range(down):
            for column in range(across):
                address = f"/api/sources/f0/weights/0/tiles/{level}/{row}/{column}"
                response = client.get(address, params={"statistic": statistic})
                assert response.headers["content-type"] == "application/octet-stream"
                found = tile_of(response)
                part = wide[256 * side * row :, 256 * side * column :][: 256 * side, : 256 * side]
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    how = {"mean": np.nanmean, "minimum": np.nanmin, "maximum": np.nanmax, "magnitude": _largest}
                    expected = how[statistic](_blocks(part, side), axis=(1, 3))
                np.testing.assert_allclose(found, expected.astype(np.float32), rtol=1e-6, atol=1e-7)


def _blocks(part, side):
    """Squares of a matrix along axes 1 and 3, those at its edges filled up with NaN."""
    full = np.pad(part, [(0, -size % side) for size in part.shape], constant_values=np.nan)
    return full.reshape(full.shape[0] // side, side, full.shape[1] // side, side)


def _largest(blocks, axis):
    low, high = np.nanmin(blocks, axis), np.nanmax(blocks, axis)
    return np.where(-low > high, low, high)


def test_a_tile_that_is_known_is_not_sent_again(client):
    address = "/api/sources/f0/weights/0/tiles/1/0/0"
    first = client.get(address)
    assert not first.headers["etag"].startswith("W/")
    again = client.get(address, headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = client.get(address, params={"statistic": "maximum"}, headers={"if-none-match": first.headers["etag"]})
    assert other.status_code == 200


@pytest.mark.parametrize(
    ("address", "status"),
    [
        *(("0/tiles/3/0/0", 404), ("0/tiles/0/3/0", 404), ("0/tiles/0/0/2", 404), ("9/tiles/0/0/0", 404), ("9", 404)),
        *(("0/tiles/-1/0/0", 422), ("0/tiles/0/x/0", 422), ("0/tiles/61/0/0", 422), (f"0/tiles/0/{2**70}/0", 422)),
        *(("0/tiles/0/0/0?statistic=median", 422), ("x", 422), ("2/spectrum", 400), ("0/spectrum", 400)),
        *(("0/marginals?axis=depth", 422), ("0/correlation?rows=100000", 422), ("0/embedding?method=umap", 422)),
    ],
)
def test_what_is_not_there_or_makes_no_sense_is_one_line(client, address, status, error_of):
    response = client.get(f"/api/sources/f0/weights/{address}")
    assert response.status_code == status, response.text
    error_of(response)


@pytest.mark.parametrize(
    "name", ["f9", "..", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "s0~x~0", "s0~~", "%00", "f0%00", "/etc/passwd"]
)
def test_ids_are_not_paths(client, name, error_of):
    for more in ("", "/statistics", "/findings", "/weights/0", "/weights/0/tiles/0/0/0"):
        response = client.get(f"/api/sources/{name}{more}")
        assert response.status_code == 404
        error_of(response)


def test_margins_are_norms_and_means(client, matrix):
    wide = matrix.astype(np.float64)
    for axis, lines in (("rows", wide), ("columns", wide.T)):
        found = client.get("/api/sources/f0/weights/0/marginals", params={"axis": axis}).json()
        np.testing.assert_allclose(found["norms"], np.sqrt(np.nansum(lines**2, axis=1)), rtol=1e-6)
        np.testing.assert_allclose(found["means"], np.nanmean(lines, axis=1), rtol=1e-5, atol=1e-8)


def test_the_spectrum_is_numpys(client, small):
    found = client.get("/api/sources/f0/weights/1/spectrum").json()
    np.testing.assert_allclose(found["singular_values"], np.linalg.svd(small.astype(float))[1], rtol=1e-6)
    assert (found["rank"], found["exact"]) == (10, True)
    assert found["bulk_edge"] == pytest.approx(np.sqrt(found["bulk"]["upper"]))


def test_the_correlation_is_numpys_in_the_order_given(client, small):
    found = client.get("/api/sources/f0/weights/1/correlation").json()
    assert sorted(found["order"]) == list(range(24))
    expected = np.corrcoef(small.astype(float))[np.ix_(found["order"], found["order"])]
    np.testing.assert_allclose(found["values"], expected, atol=1e-3)


@pytest.mark.parametrize(("method", "dimensions"), [("pca", 2), ("pca", 3), ("tsne", 2)])
def test_neurons_become_points(client, small, method, dimensions):
    address = "/api/sources/f0/weights/1/embedding"
    found = client.get(address, params={"method": method, "dimensions": dimensions}).json()
    points = np.array(found["points"])
    assert points.shape == (24, dimensions)
    assert found["rows"] == list(range(24))
    if method == "pca":
        centered = small - small.mean(axis=0)
        scale = np.linalg.svd(centered.astype(float))[1][:dimensions]
        np.testing.assert_allclose(
            np.linalg.norm(points, axis=0) / np.linalg.norm(points), scale / np.linalg.norm(scale), rtol=1e-4
        )


def test_findings_of_a_file_are_those_of_the_rules(client, weights_file):
    from weightsmith.rules import check

    found = client.get("/api/sources/f0/findings").json()
    assert [(one["code"], one["weight"]) for one in found["findings"]] == [
        (one.code, one.weight) for one in check(str(weights_file)).findings
    ]
    assert found["findings"]


def test_a_file_that_changed_is_opened_anew(client, weights_file):
    before = client.get("/api/sources/f0/weights/1/tiles/0/0/0")
    write_safetensors(weights_file, {"other": np.ones((3, 3), np.float32)})
    assert [weight["name"] for weight in client.get("/api/sources/f0").json()["weights"]] == ["other"]
    assert client.get("/api/sources/f0/weights/1/tiles/0/0/0").status_code == 404
    after = client.get("/api/sources/f0/weights/0/tiles/0/0/0")
    np.testing.assert_array_equal(tile_of(after), np.ones((3, 3)))
    assert after.headers["etag"] != before.headers["etag"]


def test_a_file_that_is_gone_or_was_cut_off_is_one_line(client, weights_file, error_of):
    assert client.get("/api/sources/f0").status_code == 200
    with weights_file.open("r+b") as file:
        file.truncate(5000)
    for more in ("", "/weights/0", "/weights/0/tiles/0/1/0", "/findings"):
        response = client.get(f"/api/sources/f0{more}")
        assert response.status_code == 409
        error_of(response)
    weights_file.unlink()
    response = client.get("/api/sources/f0")
    assert response.status_code == 409
    assert "gone" in error_of(response)
    assert client.get("/api/hello").status_code == 200


def test_a_file_that_fails_in_the_middle_of_its_statistics_says_so(client, weights_file, monkeypatch):
    from weightsmith.errors import SourceError

    def fail(*_, **__):
        raise SourceError("model.safetensors: broken")

    monkeypatch.setattr("weightsmith.web.routes.statistics.scan", fail)
    assert events_of(client.get("/api/sources/f0/statistics")) == [("failed", {"message": "model.safetensors: broken"})]
    monkeypatch.undo()  # and the next who asks is not told the same
    assert [kind for kind, _ in events_of(client.get("/api/sources/f0/statistics"))] == [*3 * ["weight"], "done"]


def test_statistics_are_made_once_for_all_who_ask(client, monkeypatch):
    first = client.get("/api/sources/f0/statistics").content
    monkeypatch.setattr("weightsmith.web.routes.statistics.scan", lambda *_, **__: pytest.fail("scanned again"))
    assert client.get("/api/sources/f0/statistics").content == first


def test_values_that_no_array_can_hold_have_a_reason(serve, tmp_path):
    header = json.dumps({"w": {"dtype": "F4", "shape": [4, 4], "data_offsets": [0, 8]}}).encode()
    path = tmp_path / "packed.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    client = serve(path)
    found = client.get("/api/sources/f0/weights/0").json()
    assert found["reason"]
    assert (found["matrix"], found["outliers"]) == (None, [])
    kinds = dict(events_of(client.get("/api/sources/f0/statistics")))
    assert kinds["weight"]["reason"]


def test_hostile_names_come_as_text(serve, tmp_path):
    name = '<img src=x onerror="alert(1)">‮\x1b[31m' + "a" * 10_000
    path = tmp_path / "evil.safetensors"
    write_safetensors(path, {name: np.ones((2, 2), np.float32)}, {"note": "</script>\x00"})
    response = serve(path).get("/api/sources/f0")
    (weight,) = response.json()["weights"]
    assert weight["name"].startswith("<img src=x")
    assert "\x1b" not in weight["name"]
    assert "‮" not in weight["name"]
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "int8", "float64"])
def test_tiles_of_other_types_are_their_values(serve, tmp_path, kind):
    import ml_dtypes

    array = (np.random.default_rng(2).standard_normal((20, 30)) * 50).astype(getattr(ml_dtypes, kind, kind))
    path = tmp_path / "w.safetensors"
    write_safetensors(path, {"w": array})
    found = tile_of(serve(path).get("/api/sources/f0/weights/0/tiles/0/0/0"))
    np.testing.assert_array_equal(found, array.astype(np.float32))


@pytest.mark.parametrize("shape", [(), (0,), (0, 4), (1, 1), (5,)])
def test_weights_of_any_shape_are_shown(serve, tmp_path, shape):
    path = tmp_path / "w.safetensors"
    write_safetensors(path, {"w": np.full(shape, 2.0, np.float32)})
    client = serve(path)
    found = client.get("/api/sources/f0/weights/0").json()
    assert found["matrix"]["rows"] * found["matrix"]["columns"] == np.prod(shape)
    for more in ("/tiles/0/0/0", "/marginals", "/spectrum", "/correlation", "/embedding"):
        assert client.get(f"/api/sources/f0/weights/0{more}").status_code in (200, 400, 404), more
