"""The built files: small, whole, and nothing in them that a strict content-security policy refuses."""

import gzip
import re

from weightsmith.web.built import BUILT


def test_the_script_is_small() -> None:
    size = sum(len(gzip.compress(file.read_bytes())) for file in BUILT.rglob("*.js"))
    assert 0 < size < 130_000  # the bound agreed on is 300 KB; growth beyond this wants a reason


def test_the_page_holds_no_inline_code_and_names_only_its_own_files() -> None:
    text = (BUILT / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bon\w+=|\bstyle=", text)
    named = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert named
    for name in named:
        assert name.startswith("./assets/")
        assert (BUILT / name).is_file()
    assert {file.name for file in BUILT.rglob("*") if file.is_file()} == {
        "index.html",
        *(name.rsplit("/")[-1] for name in named),
        *workers_named(named),
    }


def workers_named(files: list[str]) -> set[str]:
    """The scripts that those of the page start beside it."""
    scripts = [(BUILT / name).read_text(encoding="utf-8") for name in files if name.endswith(".js")]
    found = {name for script in scripts for name in re.findall(r'Worker\([^)]*"([\w-]+\.js)"', script)}
    assert found
    return found


def test_no_other_host_is_asked_for_anything() -> None:
    for file in BUILT.rglob("*"):
        if file.suffix in (".js", ".css", ".html"):
            hosts = set(re.findall(r"https?://([\w.-]+)", file.read_text(encoding="utf-8")))
            assert hosts <= {"www.w3.org"}  # the names of SVG and MathML, which nothing loads
