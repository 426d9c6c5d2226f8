"""The built page as one document: its script and style inside, and answers as data that no name can break out of."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any, Final

from weightsmith.errors import InputError
from weightsmith.web.built import BUILT

MARK: Final = '<meta name="generator" content="weightsmith export" />'
"""In every file that was saved, and nowhere else: such a file may be written anew."""

_SCRIPT = re.compile(r'<script type="module"[^>]* src="\./([^"]+)"></script>')
_STYLE = re.compile(r'<link rel="stylesheet"[^>]* href="\./([^"]+)">')
_ICON = re.compile(r'href="\./([^"]+\.svg)"')


def document(manifest: Mapping[str, Any], title: str) -> str:
    """The page with the answers that it needs.

    Args:
        manifest: plain JSON values; what the page finds in place of a server.
        title: of the document, as text.

    Raises:
        InputError: the page is not built, or not in one piece.
    """
    index = _read("index.html")
    script = _inline_script(_linked(_SCRIPT, index))
    style = _linked(_STYLE, index)
    if "</style" in style.lower():
        raise InputError("the page's style cannot be put into a file")
    icon = _linked(_ICON, index)
    policy = (
        f"default-src 'none'; script-src {_hashed(script)}; style-src {_hashed(style)}; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    head = f'<meta http-equiv="Content-Security-Policy" content="{policy}" />\n    {MARK}'
    parts = {
        '<meta charset="utf-8" />': f'<meta charset="utf-8" />\n    {head}',
        "<title>Weightsmith</title>": f"<title>{escape(title)} · Weightsmith</title>",
        _found(_ICON, index).group(0): f'href="data:image/svg+xml;base64,{base64.b64encode(icon.encode()).decode()}"',
        _found(_SCRIPT, index).group(0): "",
        _found(_STYLE, index).group(0): f"<style>{style}</style>",
        "</body>": f'<script type="application/json" id="saved">{as_data(manifest)}</script>\n'
        f'    <script type="module">{script}</script>\n  </body>',
    }
    return _replaced(index, parts)


def is_saved(path: Path) -> bool:
    """Whether a file is a page that was saved."""
    with path.open("rb") as file:
        return MARK.encode() in file.read(4096)


def page_bytes() -> int:
    """Bytes of a file that holds no answers."""
    return len(document({}, "").encode())


def as_data(manifest: Mapping[str, Any]) -> str:
    """JSON of ASCII alone in which nothing ends a script element or begins a comment."""
    return json.dumps(manifest, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _replaced(index: str, parts: Mapping[str, str]) -> str:
    """Each text in place of another; what is put in is not looked at again."""
    pattern = re.compile("|".join(map(re.escape, parts)))
    missing = set(parts) - set(pattern.findall(index))
    if missing:
        raise InputError(f"the page was built in another way than expected: {sorted(missing)[0]} is not in it")
    return pattern.sub(lambda match: parts[match.group(0)], index)


def _inline_script(script: str) -> str:
    """The script so that it can stand in the document: what would end it is written otherwise in its texts."""
    return re.sub(r"<(?=/script|!--)", r"\\x3c", script, flags=re.IGNORECASE)


def _hashed(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _linked(pattern: "re.Pattern[str]", index: str) -> str:
    return _read(_found(pattern, index).group(1))


def _found(pattern: "re.Pattern[str]", index: str) -> "re.Match[str]":
    found = list(pattern.finditer(index))
    if len(found) != 1:
        raise InputError("the page is not built in one piece: run `npm ci && npm run build` in ui/")
    return found[0]


def _read(name: str) -> str:
    path: Path = BUILT / name
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError("the page is not built: run `npm ci && npm run build` in ui/") from None
