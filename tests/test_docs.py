import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("page", ["rules.md", "commands.md"])
def test_pages_made_from_the_code_are_up_to_date(page):
    spec = importlib.util.spec_from_file_location("build", ROOT / "docs" / "build.py")
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    assert (ROOT / "docs" / page).read_text() == build.PAGES[page](), "run: python docs/build.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_paths_in_the_pages_exist(page):
    text = page.read_text()
    links = [target for target in re.findall(r"\]\(([^)#]+)", text) if "://" not in target]
    named = re.findall(r"`((?:src|tests|docs|examples|benchmarks|kernels|optim|plots|sources)/[\w./-]+)`", text)
    missing = [link for link in links if not (page.parent / link).exists()]
    missing += [path for path in named if not ((ROOT / path).exists() or (ROOT / "src/weightsmith" / path).exists())]
    assert missing == []


def test_the_examples_of_the_analysis_page_run(tmp_path, monkeypatch):
    pytest.importorskip("captum")
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    layers = torch.nn.ModuleDict({"hidden": torch.nn.ModuleList([torch.nn.Linear(64, 48)])})
    model = torch.nn.Sequential(layers["hidden"][0], torch.nn.ReLU(), torch.nn.Linear(48, 10))
    monkeypatch.chdir(tmp_path)
    save_file(layers.state_dict(), "model.safetensors")
    with torch.no_grad():
        layers["hidden"][0].weight *= 1.01
    save_file(layers.state_dict(), "tuned.safetensors")
    named = torch.nn.Module()
    named.hidden, named.rest = layers["hidden"], model[1:]
    named.forward = lambda rows: named.rest(named.hidden[0](rows))
    known = {"model": named, "inputs": torch.randn(4, 64)}
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "analysis.md").read_text(), re.DOTALL)
    assert len(blocks) > 6
    for block in blocks:
        exec(compile(block, "docs/analysis.md", "exec"), known)
    assert len(known["order"]) == 48
    assert known["points"].shape == (48, 3)
    assert known["table"].summaries[0].sketch is not None
    assert known["liked"].units.tolist() == [0, 7]


def test_the_example_of_the_shipping_page_runs(tmp_path, monkeypatch):
    import torch

    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "shipping.md").read_text(), re.DOTALL)
    known: dict = {}
    exec(compile(block, "docs/shipping.md", "exec"), known)
    inputs = torch.randn(32, 64)
    expected = known["model"](inputs)
    for model in (known["packed"], known["again"], known["plain"]):
        torch.testing.assert_close(model(inputs), expected, rtol=1e-4, atol=1e-4)


def test_every_public_name_can_be_imported():
    import weightsmith as ws

    assert [name for name in ws.__all__ if getattr(ws, name, None) is None] == []


def test_packages_keep_their_names():
    show = "import weightsmith as ws, weightsmith.scan; print(ws.scan.scan.__name__, ws.diff.__name__, ws.explain)"
    done = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("scan diff <module 'weightsmith.explain'")


@pytest.mark.parametrize(
    ("code", "unwanted"),
    [
        ("import weightsmith.cli.app", ["torch", "numba", "scipy", "sklearn", "matplotlib", "pydantic"]),
        ("import weightsmith.store", ["torch", "numba", "scipy", "sklearn", "matplotlib", "rich"]),
        ("import weightsmith as ws; ws.open; ws.Store; ws.check", ["torch", "matplotlib", "sklearn"]),
        ("import weightsmith as ws; ws.scan; ws.diff; ws.analysis", ["torch", "matplotlib", "sklearn"]),
        ("import weightsmith", ["numpy", "torch"]),
        ("import weightsmith.web.app", ["torch", "numba", "scipy", "sklearn", "matplotlib", "rich"]),
        ("from weightsmith.rules import Configuration; Configuration()", ["weightsmith.rules.catalog", "numba"]),
    ],
)
def test_light_things_do_not_load_heavy_libraries(code, unwanted):
    show = f"{code}; import sys; print([name for name in {unwanted!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
