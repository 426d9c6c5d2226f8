"""The addresses about runs, against the store's own answers and NumPy."""

import json
import math

import numpy as np
import pytest

from weightsmith.sketch import Sketch


def test_hello_names_what_is_served(client, weights_file, store):
    facts = client.get("/api/hello").json()
    assert facts["stores"] == [{"id": "s0", "label": store.label}]
    assert facts["files"] == [{"id": "f0", "label": str(weights_file), "source": "f0"}]
    assert facts["version"]


def test_runs_are_listed_the_newest_first(client, record):
    first, second = record("first"), record("second")
    found = client.get("/api/runs").json()["runs"]
    assert sorted(run["id"] for run in found) == sorted([first, second])
    assert found[0]["created"] >= found[1]["created"]
    run = next(run for run in found if run["id"] == first)
    assert (run["store"], run["name"], run["status"]) == ("s0", "first", "completed")
    assert (run["model"], run["optimizer"], run["summary"]) == ("mlp", "adam", {"test_accuracy": 0.9})
    assert run["created"].endswith("+00:00")
    line = run["sparkline"]
    assert len(line["steps"]) == len(line["values"]) <= 60
    assert (line["values"][0], line["steps"][-1]) == (1.0, 1000)


def test_tags_and_notes_are_told_as_they_are_now(client, record, store):
    key = record()
    address = f"/api/stores/s0/runs/{key}"
    tag = client.get(address).headers["etag"]
    (before,) = client.get("/api/runs").json()["runs"]
    assert (before["tags"], before["note"]) == ([], None)
    store.annotate(key, tags=["baseline", "<b>"], note="<script>\n\tline 2")
    (listed,) = client.get("/api/runs").json()["runs"]
    full = client.get(address, headers={"if-none-match": tag}).json()
    for facts in (listed, full):
        assert (facts["tags"], facts["note"]) == (["baseline", "<b>"], "<script>\n\tline 2")
    assert listed["updated"] == before["updated"]


def test_a_run_is_told_in_full(client, record):
    key = record()
    run = client.get(f"/api/stores/s0/runs/{key}").json()
    assert run["recipe"]["optimizer"] == {"name": "adam", "lr": 0.1}
    assert [weight["name"] for weight in run["weights"]] == ["fc.weight", "fc.bias"]
    assert run["weights"][0]["shape"] == [24, 10]
    assert {"name": "update_ratio", "weight": "fc.bias"} in run["series"]
    assert run["snapshots"][1]["source"] == f"s0~{key}~1000"
    assert run["events"] == [{"step": 5, "kind": "verdict", "payload": {"verdict": "healthy"}}]
    assert run["sketched"] == ["weight"]
    assert run["last_step"] == 1000


def test_series_keep_their_extremes_and_say_null_where_they_are_not_finite(client, record):
    losses = np.linspace(1, 0, 1000)
    losses[500], losses[700], losses[800] = 9.0, np.nan, np.inf
    key = record(losses=losses)
    address = f"/api/stores/s0/runs/{key}/series"
    (whole,) = client.get(address, params={"name": "loss", "points": 2000}).json()["series"]
    assert whole["steps"] == list(range(1, 1001))
    assert whole["values"] == [value if np.isfinite(value) else None for value in losses]
    (thin,) = client.get(address, params={"name": "loss", "points": 50}).json()["series"]
    assert len(thin["steps"]) <= 50
    assert 9.0 in thin["values"]
    assert None in thin["values"]
    (later,) = client.get(address, params={"name": "loss", "since": 990}).json()["series"]
    assert later["steps"] == list(range(991, 1001))


def test_series_of_a_weight_and_several_at_once(client, record):
    address = f"/api/stores/s0/runs/{record()}/series"
    found = client.get(address, params={"name": ["update_ratio", "nothing"], "weight": "fc.bias"}).json()["series"]
    assert [(one["name"], one["weight"], len(one["steps"])) for one in found] == [
        ("update_ratio", "fc.bias", 500),
        ("nothing", "fc.bias", 0),
    ]
    assert [one["name"] for one in client.get(address).json()["series"]] == ["loss"]


def test_layers_are_means_of_stretches_in_the_order_of_the_model(client, record):
    found = client.get(f"/api/stores/s0/runs/{record()}/layers", params={"name": "update_ratio", "columns": 10}).json()
    assert found["weights"] == ["fc.weight", "fc.bias"]
    assert found["steps"] == list(range(1, 1001, 100))
    ratio = np.linspace(0, 1, 1000).reshape(10, 100).mean(axis=1)
    np.testing.assert_allclose(found["values"][0], ratio, rtol=1e-5)
    assert found["values"][1][:5] == [None] * 5
    np.testing.assert_allclose(found["values"][1][5:], ratio[5:], rtol=1e-5)


def test_layers_of_a_quantity_that_was_not_recorded_are_empty(client, record):
    found = client.get(f"/api/stores/s0/runs/{record()}/layers", params={"name": "flip_rate"}).json()
    assert found == {"name": "flip_rate", "weights": [], "steps": [], "values": [], "not_finite": []}


def test_layers_tell_what_is_not_finite_from_what_was_not_measured(client, store):
    writer = store.create_run(name=None, recipe=None, environment={}, weights=[])
    values = [1.0, math.nan, 3.0, math.inf, 5.0]
    writer.write(series={("norm", "a"): ([0, 10, 19, 20, 49], values), ("norm", "b"): ([0, 40], [1.0, 2.0])})
    found = client.get(f"/api/stores/s0/runs/{writer.id}/layers", params={"name": "norm", "columns": 5}).json()
    assert found["steps"] == [0, 10, 20, 30, 40]
    assert found["values"] == [[1.0, 3.0, None, None, 5.0], [1.0, None, None, None, 2.0]]
    assert found["not_finite"] == [[1, 2], []]


def test_histograms_share_their_edges_and_count_every_value(client, record, small):
    address = f"/api/stores/s0/runs/{record()}/histograms"
    found = client.get(address, params={"weight": "fc.weight", "bins": 20}).json()
    assert found["steps"] == [1, 2, 3]
    edges = np.array(found["edges"])
    assert len(edges) <= 21
    np.testing.assert_allclose([edges[0], edges[-1]], [small.min() * 3, small.max() * 3], rtol=1e-6)
    for step, counts in zip(found["steps"], found["counts"], strict=True):
        assert sum(counts) == pytest.approx(small.size)
        np.testing.assert_allclose(counts, Sketch.of(small * step).histogram(edges), atol=1e-3)
    exact = np.quantile(small, 0.5, method="inverted_cdf")
    np.testing.assert_allclose(found["quantiles"]["0.5"], exact * np.array([1, 2, 3]), rtol=1 / 64)


def test_a_weight_that_was_not_sketched_has_no_histogram(client, record):
    address = f"/api/stores/s0/runs/{record()}/histograms"
    for parameters in ({"weight": "fc.bias"}, {"weight": "fc.weight", "quantity": "latent"}, {"weight": "no"}):
        found = client.get(address, params=parameters).json()
        assert (found["edges"], found["steps"], found["counts"]) == ([], [], [])


def test_findings_are_those_of_the_rules(client, record, store):
    from weightsmith.rules import check

    key = record(losses=np.full(1000, np.nan))
    found = client.get(f"/api/stores/s0/runs/{key}/findings").json()
    report = check(store.run(key))
    assert [one["code"] for one in found["findings"]] == [one.code for one in report.findings]
    first, expected = found["findings"][0], report.findings[0]
    assert (first["message"], first["fix"], first["step"]) == (expected.message, expected.advice, expected.since)
    assert {one["code"] for one in found["not_judged"]} >= {one.code for one in report.skipped}


def test_recipes_are_compared_by_what_differs(client, record):
    keys = [record("one", lr=0.1), record("two", lr=0.2)]
    found = client.get("/api/compare", params={"run": [f"s0~{key}" for key in keys]}).json()
    assert found["recipes"] == {"differences": [{"key": "optimizer.lr", "values": [0.1, 0.2]}]}
    assert found["series"] == ["loss"]


@pytest.mark.parametrize("kind", ["", "/series", "/layers?name=loss", "/histograms?weight=w", "/findings"])
def test_a_run_that_is_not_there_is_not_found(client, record, store, kind, error_of):
    key = record("first")
    for wrong in ("20200101-000000-abcd", "latest", "first", key[:8], "..", "%2e%2e%2fetc", "a" * 5000, "~", "'"):
        response = client.get(f"/api/stores/s0/runs/{wrong}{kind}")
        assert response.status_code in (404, 405), (wrong, response.text)
        error_of(response)
    assert client.get(f"/api/stores/s9/runs/{key}{kind}").status_code == 404
    store.delete_run(key)
    assert client.get(f"/api/stores/s0/runs/{key}{kind}").status_code == 404
    assert client.get("/api/runs").json()["runs"] == []


def test_a_run_of_hostile_names_is_text(client, store):
    from weightsmith.weight import WeightInfo

    name = "<script>alert(1)</script>‮\ud800\"'&"
    writer = store.create_run(
        name="<img src=x>", recipe=None, environment={}, weights=[WeightInfo(name, (1,), "float32", "other")]
    )
    writer.write(series={(name, name): ([1], [1.0])})
    writer.finish("failed", error="it\nbroke <b>")
    response = client.get(f"/api/stores/s0/runs/{writer.id}")
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-content-type-options"] == "nosniff"
    facts = json.loads(response.content)
    (series,) = facts["series"]
    address = f"/api/stores/s0/runs/{writer.id}/series"
    (found,) = client.get(address, params={"name": series["name"], "weight": series["weight"]}).json()["series"]
    assert found["values"] == [1.0]
    assert facts["weights"][0]["name"] == series["weight"]


def test_a_store_that_is_damaged_or_gone_is_one_line(client, record, store, tmp_path, error_of):
    key = record()
    store.close()
    (tmp_path / "runs" / "weightsmith.db").write_bytes(b"no database at all" * 1000)
    for address in ("/api/runs", f"/api/stores/s0/runs/{key}"):
        response = client.get(address)
        assert response.status_code == 409
        assert "damaged" in error_of(response)


def test_a_store_that_another_process_holds_is_one_line(client, record, tmp_path, monkeypatch, store, error_of):
    import sqlite3

    monkeypatch.setattr("weightsmith.store.database._PATIENCE", 0.1)
    record()
    store.close()
    other = sqlite3.connect(tmp_path / "runs" / "weightsmith.db", isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    response = client.get("/api/runs")
    assert response.status_code == 409
    assert "busy" in error_of(response)
    other.close()
    assert client.get("/api/runs").status_code == 200
