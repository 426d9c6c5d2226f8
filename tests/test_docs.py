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


def test_every_public_name_can_be_imported():
    import weightsmith as ws

    assert [name for name in ws.__all__ if getattr(ws, name, None) is None] == []


@pytest.mark.parametrize(
    ("code", "unwanted"),
    [
        ("import weightsmith.cli.app", ["torch", "numba", "scipy", "sklearn", "matplotlib", "pydantic"]),
        ("import weightsmith.store", ["torch", "numba", "scipy", "sklearn", "matplotlib", "rich"]),
        ("import weightsmith as ws; ws.open; ws.Store; ws.check", ["torch", "matplotlib", "sklearn"]),
    ],
)
def test_light_things_do_not_load_heavy_libraries(code, unwanted):
    show = f"{code}; import sys; print([name for name in {unwanted!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
