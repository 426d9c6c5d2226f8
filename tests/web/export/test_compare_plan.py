"""What a saved comparison holds of runs, steps and files."""

from itertools import permutations

import pytest

from weightsmith.errors import InputError
from weightsmith.sources import write_safetensors
from weightsmith.web.export import compare_plan


@pytest.fixture
def file(tmp_path, small):
    path = tmp_path / "other.safetensors"
    write_safetensors(path, {"fc.weight": small * 3, "extra": small})
    return path


def test_runs_steps_and_files_beside_each_other(saved, record, file, serve):
    run = record()
    opened = saved(f"#/compare?source=f0&run=s0~{run}&source=s0~{run}~0", file)
    assert opened.saved.title == "1 run and 2 checkpoints compared"
    able = ["f0", f"s0~{run}~1000", f"s0~{run}~0"]
    named = "&".join(f"source={one}" for one in able)
    expected = {f"api/compare/statistics?{named}", f"api/compare?run=s0~{run}&source=f0&source=s0~{run}~0"}
    expected |= {f"api/compare/weights?source={one}&source={two}" for one, two in permutations(able, 2)}
    details = {f"api/sources/{source}/weights/{index}" for source in able for index in (0, 1)}
    assert set(opened.addresses) == expected | details | {"api/hello", "api/runs"}
    client = serve(file)
    for address in expected:
        assert opened.json(address) == client.get(f"/{address}").json()
    assert [one["id"] for one in opened.json("api/hello")["files"]] == ["f0"]


def test_files_alone_need_no_store(saved, file):
    opened = saved("#/compare?source=f0&source=f1", file, file)
    assert "api/runs" not in opened.addresses
    assert opened.json("api/hello")["stores"] == []
    assert opened.json("api/compare/weights?source=f0&source=f1")["same"]


def test_what_is_shown_is_kept_when_there_is_no_time_for_more(saved, record, file, monkeypatch):
    monkeypatch.setattr(compare_plan, "MORE", 0.0)
    run = record()
    view = f"#/compare?source=f0&run=s0~{run}&source=s0~{run}~0&base=s0~{run}~0&with=f0&weight=fc.bias"
    opened = saved(view, file)
    pairs = [one for one in opened.addresses if one.startswith("api/compare/weights?")]
    assert set(pairs) == {
        f"api/compare/weights?source=s0~{run}~0&source=f0",
        f"api/compare/weights?source=f0&source=s0~{run}~0",
    }
    assert {one for one in opened.addresses if one.startswith("api/sources/")} == {
        f"api/sources/s0~{run}~{step}/weights/1" for step in (0, 1000)
    }


def test_one_alone_is_nothing_to_compare(saved, record):
    run = record()
    with pytest.raises(InputError, match="two different"):
        saved(f"#/compare?run=s0~{run}&run=s0~{run}")
