"""Checkpoints and runs against each other, checked with NumPy over the arrays that were written."""

import ml_dtypes
import numpy as np
import pytest

from weightsmith.sources import write_safetensors


@pytest.fixture
def weights(small):
    return {"a.weight": small, "b.weight": small.T.copy(), "c.bias": small[:, 0].copy(), "d.weight": small[:8] * 3}


@pytest.fixture
def files(serve, weights, tmp_path, small):
    """f0, and what became of it: f1 in another type, f2 changed in every way, f3 of nothing in common."""
    tuned = small + np.outer(np.linspace(0.1, 1, 24), np.ones(10)).astype(np.float32)
    cut = np.where(np.abs(small.T) < 0.5, np.float32(0), small.T)
    ways = {
        "first": weights,
        "narrow": {name: values.astype(ml_dtypes.bfloat16) for name, values in weights.items()},
        "ways": {"a.weight": tuned, "b.weight": cut, "c.bias": weights["c.bias"], "<b>new</b>": small[:3] * 7},
        "other": {"z": np.arange(5, dtype=np.float32)},
    }
    for name, held in ways.items():
        write_safetensors(tmp_path / f"{name}.safetensors", held)
    return serve(*(tmp_path / f"{name}.safetensors" for name in ways)), {"tuned": tuned, "cut": cut}


def compared(client, before, after):
    response = client.get("/api/compare/weights", params={"source": [before, after]})
    assert response.status_code == 200, response.text
    return response.json()


def test_each_weight_has_its_kind_of_change_and_numpys_numbers(files, small):
    client, made = files
    found = compared(client, "f0", "f2")
    changes = {one["before"]["name"]: one for one in found["changes"]}
    kinds = {name: one["relation"] for name, one in changes.items()}
    assert kinds == {"a.weight": "changed", "b.weight": "pruned", "c.bias": "identical"}
    old, new = small.astype(np.float64), made["tuned"].astype(np.float64)
    tuned = changes["a.weight"]
    assert tuned["relative"] == pytest.approx(np.linalg.norm(new - old) / np.linalg.norm(old), rel=1e-5)
    assert tuned["cosine"] == pytest.approx(np.sum(old * new) / np.linalg.norm(old) / np.linalg.norm(new), rel=1e-5)
    assert tuned["rows"][0]["row"] == int(np.argmax(np.linalg.norm(new - old, axis=1)))
    assert changes["b.weight"]["zeroed"] == pytest.approx(np.mean((made["cut"] == 0) & (small.T != 0)))
    assert [one["name"] for one in found["removed"]] == ["d.weight"]
    assert [one["name"] for one in found["added"]] == ["<b>new</b>"]
    assert not found["same"]


def test_indexes_lead_to_the_weights(files):
    client, _ = files
    found = compared(client, "f0", "f2")
    sides = [("f0", one["before"]) for one in found["changes"]] + [("f2", one["after"]) for one in found["changes"]]
    for source, side in [*sides, *(("f0", one) for one in found["removed"]), *(("f2", one) for one in found["added"])]:
        facts = client.get(f"/api/sources/{source}/weights/{side['index']}").json()
        assert (facts["name"], facts["shape"]) == (side["name"], side["shape"])


def test_the_sentence_says_what_happened(files):
    client, _ = files
    assert compared(client, "f0", "f1")["verdict"].startswith("A conversion from float32 to bfloat16")
    assert compared(client, "f0", "f0")["same"]
    assert compared(client, "f0", "f3")["verdict"].startswith("Different architectures")


def test_a_low_rank_update_tells_its_rank(serve, tmp_path):
    rng = np.random.default_rng(5)
    base, change = rng.normal(size=(96, 80)), rng.normal(size=(96, 3)) @ rng.normal(size=(3, 80))
    paths = tmp_path / "base.safetensors", tmp_path / "adapted.safetensors"
    for path, values in zip(paths, (base, base + 0.1 * change), strict=True):
        write_safetensors(path, {"w": values.astype(np.float32)})
    found = compared(serve(*paths), "f0", "f1")
    assert found["verdict"].startswith("A low-rank update")
    assert (found["changes"][0]["rank"]["rank"], found["changes"][0]["rank"]["low"]) == (3, True)


def test_a_weight_that_was_zero_has_no_relative_change(serve, tmp_path, small):
    paths = tmp_path / "zero.safetensors", tmp_path / "one.safetensors"
    write_safetensors(paths[0], {"w": np.zeros_like(small)})
    write_safetensors(paths[1], {"w": small})
    change = compared(serve(*paths), "f0", "f1")["changes"][0]
    assert (change["relative"], change["from_zero"]) == (None, True)


def test_statistics_side_by_side_are_numpys(files, weights):
    client, made = files
    response = client.get("/api/compare/statistics", params={"source": ["f0", "f2", "f3"]})
    assert response.status_code == 200, response.text
    rows = {row["name"]: row["of"] for row in response.json()["weights"]}
    assert list(rows) == ["a.weight", "b.weight", "c.bias", "d.weight", "<b>new</b>", "z"]
    for name, values in (("a.weight", weights["a.weight"]), ("b.weight", weights["b.weight"])):
        wide = values.astype(np.float64)
        assert rows[name][0]["std"] == pytest.approx(wide.std(), rel=1e-6)
        assert rows[name][0]["norm"] == pytest.approx(np.linalg.norm(wide), rel=1e-6)
    assert rows["b.weight"][1]["sparsity"] == pytest.approx(np.mean(made["cut"] == 0))
    assert [None if one is None else one["shape"] for one in rows["d.weight"]] == [[8, 10], None, None]
    assert rows["z"] == [None, None, {**rows["z"][2], "shape": [5], "mean": 2.0}]


def test_runs_and_files_name_their_weights(client, record):
    key = record("named")
    asked = {"run": [f"s0~{key}"], "source": ["f0", f"s0~{key}~0"]}
    found = client.get("/api/compare", params=asked).json()
    assert [(one["subject"], one["source"], one["step"]) for one in found["weights"]] == [
        (f"s0~{key}", f"s0~{key}~1000", 1000),
        ("f0", "f0", None),
        (f"s0~{key}~0", f"s0~{key}~0", 0),
    ]
    assert found["weights"][0]["label"] == "named"
    assert (found["recipes"]["differences"], found["series"]) == ([], ["loss"])
    steps = compared(client, f"s0~{key}~0", f"s0~{key}~1000")
    assert steps["changes"][0]["relative"] == pytest.approx(1.0)


def test_a_run_without_snapshots_has_no_weights(client, store):
    writer = store.create_run(name="bare", recipe=None, environment={}, weights=[])
    writer.finish("completed")
    found = client.get("/api/compare", params={"run": f"s0~{writer.id}"}).json()
    assert found["weights"] == [
        {"subject": f"s0~{writer.id}", "source": None, "content": None, "label": "bare", "step": None, "reason": None}
    ]


def test_what_cannot_be_read_does_not_hide_the_others(files, record, tmp_path):
    client, _ = files
    (tmp_path / "narrow.safetensors").write_bytes(b"no longer")
    key = record("there")
    asked = {"run": ["s0~gone", f"s0~{key}"], "source": ["f0", "f1", "f77"]}
    response = client.get("/api/compare", params=asked)
    assert response.status_code == 200, response.text
    found = response.json()
    reasons = {one["subject"]: one["reason"] for one in found["weights"]}
    assert {subject for subject, reason in reasons.items() if reason is None} == {f"s0~{key}", "f0"}
    assert "narrow.safetensors" in reasons["f1"]
    assert [one["source"] for one in found["weights"]] == [None, f"s0~{key}~1000", "f0", None, None]
    assert found["weights"][3]["label"].endswith("narrow.safetensors")
    assert (found["recipes"]["differences"], found["series"]) == ([], ["loss"])


@pytest.mark.parametrize(
    ("address", "status"),
    [
        *(("", 400), ("?source=f9", 404), ("?run=s0~no", 404), ("/weights?source=f0", 422)),
        *(("/weights?source=f0&source=f9", 404), ("/weights?source=f0&source=f1&source=f2", 422)),
        *(("/statistics", 422), ("/statistics?" + "&".join(["source=f0"] * 9), 422)),
        ("/statistics?source=../x", 404),
    ],
)
def test_what_cannot_be_compared_is_one_line(files, address, status, error_of):
    response = files[0].get(f"/api/compare{address}")
    assert response.status_code == status, response.text
    error_of(response)
