"""The one document: nothing that data holds can leave its place, and the policy lets its own script run alone."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from weightsmith.errors import InputError
from weightsmith.web.export import document as under_test
from weightsmith.web.export.document import as_data, document, is_saved

HOSTILE = "</script><img src=x onerror=alert(1)><!-- <script> ]]> \u2028 &lt; &amp;"


class Read(HTMLParser):
    """What a parser of HTML finds: tags with their attributes, and the text in scripts, styles and the title."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.texts, self._open = [], {}, None
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._open = (tag, dict(attributes).get("id", ""))

    def handle_endtag(self, tag):
        self._open = None

    def handle_data(self, data):
        self.texts[self._open] = self.texts.get(self._open, "") + data


@pytest.fixture
def built(tmp_path, monkeypatch):
    """A page of our own in place of the built one."""

    def write(script="let page = '</script>' + '<!--';", style="body { color: red }"):
        (tmp_path / "assets").mkdir(exist_ok=True)
        (tmp_path / "assets" / "index-1.js").write_text(script, encoding="utf-8")
        (tmp_path / "assets" / "index-2.css").write_text(style, encoding="utf-8")
        (tmp_path / "assets" / "icon-3.svg").write_text("<svg/>", encoding="utf-8")
        (tmp_path / "index.html").write_text(
            '<!doctype html><html><head><meta charset="utf-8" /><title>Weightsmith</title>'
            '<link rel="icon" type="image/svg+xml" href="./assets/icon-3.svg" />'
            '<script type="module" crossorigin src="./assets/index-1.js"></script>'
            '<link rel="stylesheet" crossorigin href="./assets/index-2.css"></head>'
            '<body><div id="page"></div></body></html>',
            encoding="utf-8",
        )
        monkeypatch.setattr(under_test, "BUILT", tmp_path)

    write()
    return write


def test_data_and_titles_stay_where_they_are(built):
    manifest = {"answers": {HOSTILE: {"json": [HOSTILE]}}}
    read = Read(document(manifest, HOSTILE))
    assert [tag for tag, _ in read.tags].count("script") == 2
    assert "img" not in [tag for tag, _ in read.tags]
    assert json.loads(read.texts["script", "saved"]) == manifest
    assert read.texts["title", ""] == f"{HOSTILE} · Weightsmith"


def test_nothing_is_loaded_and_only_its_own_script_runs(built):
    read = Read(document({}, "x"))
    addresses = [value for _, held in read.tags for name, value in held.items() if name in ("src", "href")]
    assert [address.partition(":")[0] for address in addresses] == ["data"]
    policy = next(held["content"] for _, held in read.tags if held.get("http-equiv") == "Content-Security-Policy")
    assert "connect-src" not in policy
    assert "unsafe" not in policy
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    for rule, tag in (("script-src", "script"), ("style-src", "style")):
        digest = base64.b64encode(hashlib.sha256(read.texts[tag, ""].encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"


def test_a_script_that_names_script_elements_is_whole(built):
    script = Read(document({}, "x")).texts["script", ""]
    assert script == r"let page = '\x3c/script>' + '\x3c!--';"  # the same texts to JavaScript


def test_texts_like_those_that_are_replaced_are_left_alone(built):
    html = document({"answers": "</body> <title>Weightsmith</title>"}, "</body>")
    assert json.loads(Read(html).texts["script", "saved"]) == {"answers": "</body> <title>Weightsmith</title>"}
    assert len(re.findall("</body>", html)) == 1


def test_a_page_in_several_pieces_is_refused(built, tmp_path):
    index = tmp_path / "index.html"
    index.write_text(index.read_text().replace("</head>", '<script type="module" src="./b.js"></script></head>'))
    with pytest.raises(InputError, match="not built in one piece"):
        document({}, "x")


def test_a_saved_file_is_told_from_others(built, tmp_path):
    saved, other = tmp_path / "saved.html", tmp_path / "other.html"
    saved.write_text(document({}, HOSTILE), encoding="utf-8")
    other.write_text(f"<!doctype html><p>{'x' * 5000}", encoding="utf-8")
    assert is_saved(saved)
    assert not is_saved(other)


def test_data_is_ascii():
    assert as_data({"é</script>": float(1)}).isascii()
