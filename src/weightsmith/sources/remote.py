"""Files and folders behind a URL: read by range through fsspec, never downloaded whole to be opened."""

import logging
import re
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

from weightsmith.errors import MissingExtraError, SourceError
from weightsmith.names import printable
from weightsmith.sources.file import inside
from weightsmith.sources.folder import ENTRIES, too_many

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

BLOCK: Final = 1 << 16
"""Bytes of a cached block: about what one round trip brings anyway."""

AHEAD: Final = 16
"""Blocks that are fetched at once at the start of a file and when blocks are read in a row: 1 MiB."""

KEPT: Final = 1024
"""Most blocks kept per file: 64 MiB."""

DIRECT: Final = 1 << 20
"""Ranges of at least this many bytes are neither cached nor read ahead."""

PIECE: Final = 16 << 20
"""Most bytes asked for in one request, as the answer is held in memory before it is copied to where it is wanted."""

_HTTP: Final = frozenset({"http", "https"})

_VERSIONS: Final = (
    *("ETag", "etag", "blob_id", "md5Hash", "Content-MD5", "generation", "version_id", "VersionId", "checksum"),
    *("mtime", "Last-Modified", "LastModified", "last_modified", "updated", "created"),
)
"""What file systems call that which changes with a file's content."""

_IN_EXTRA: Final = frozenset({*_HTTP, "gcs", "gs", "hf", "s3", "s3a"})
"""Schemes whose libraries are in the extra `remote`."""

_CHATTY: Final = ("fsspec", "gcsfs", "s3fs", "huggingface_hub")
"""Libraries that log errors which they also raise; without a handler, Python would print them with their traces."""

_SILENT: Final = logging.NullHandler()
"""One for all, as a logger takes the same handler only once."""

_ERRORS: Final = {
    "aiohttp": ("ClientError",),
    "botocore.exceptions": ("BotoCoreError", "ClientError"),
    "google.auth.exceptions": ("GoogleAuthError",),
    "httpx": ("HTTPError", "InvalidURL"),
    "huggingface_hub.errors": ("HTTPError", "HfHubHTTPError", "XetDownloadError"),
}
"""Errors of the libraries behind fsspec that are no OSError; only those of libraries that are loaded can occur."""


class RemoteFile:
    """A file behind a URL, with its small reads cached by blocks and its large ones passed through.

    Safe from several threads at once.

    Args:
        url: as fsspec knows it: `https://`, `hf://org/model/file`, `s3://bucket/key`, `gs://`, `memory://`, ...

    Raises:
        MissingExtraError: fsspec or the library for this kind of URL is not installed.
        SourceError: nothing is there, it is a folder or cannot be reached, or the server does not give parts of it.
    """

    def __init__(self, url: str) -> None:
        self.label = _label(url)
        self._url = url
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._lock = threading.Lock()
        self._system, self._path = _connect(url)
        with _one_line(f"cannot open {printable(self.label)}", url):
            self._info = _information(self._system, self._path)
        if self._info.get("type") == "directory":
            raise SourceError(f"{printable(self.label)} is a folder: give a file")
        size = self._info.get("size")
        if not isinstance(size, int) or size < 0:
            raise SourceError(
                f"cannot open {printable(self.label)}: the server does not say how long it is; download it"
            )
        self.size = size

    def read_into(self, start: int, buffer: memoryview) -> None:
        """See `File.read_into`."""
        buffer = buffer.cast("B")
        self._check(start, len(buffer))
        if len(buffer) < DIRECT:
            self._read_cached(start, buffer)
            return
        for done in range(0, len(buffer), PIECE):
            piece = buffer[done : done + PIECE]
            piece[:] = self._fetch(start + done, start + done + len(piece))

    def view(self, start: int, length: int) -> memoryview:
        """See `File.view`; always a copy."""
        self._check(start, length)
        copy = bytearray(length)
        self.read_into(start, memoryview(copy))
        return memoryview(copy).toreadonly()

    def sibling(self, name: str) -> "RemoteFile":
        """See `File.sibling`; a query such as an access token goes along, as it is the same server and folder."""
        return RemoteFile(_below(_parent(self._url), inside(name, self.label)))

    def identity(self) -> str | None:
        """Size and whatever tags, versions and times the file system gives, or None where it gives none."""
        found = [f"{key}={self._info[key]}" for key in _VERSIONS if self._info.get(key)]
        lfs = self._info.get("lfs")
        if lfs:
            found.append(f"lfs={getattr(lfs, 'sha256', lfs)}")
        return ":".join([str(self.size), *found]) if found else None

    def _read_cached(self, start: int, buffer: memoryview) -> None:
        position, end = start, start + len(buffer)
        while position < end:
            number, skipped = divmod(position, BLOCK)
            part = self._block(number)[skipped : skipped + end - position]
            buffer[position - start : position - start + len(part)] = part
            position += len(part)

    def _block(self, number: int) -> bytes:
        with self._lock:
            found = self._blocks.get(number)
            if found is not None:
                self._blocks.move_to_end(number)
                return found
            in_a_row = number == 0 or number - 1 in self._blocks
        start = number * BLOCK
        data = self._fetch(start, min(start + BLOCK * (AHEAD if in_a_row else 1), self.size))
        with self._lock:
            for offset in range(0, len(data), BLOCK):
                self._blocks[number + offset // BLOCK] = data[offset : offset + BLOCK]
            while len(self._blocks) > KEPT:
                self._blocks.popitem(last=False)
        return data[:BLOCK]

    def _fetch(self, start: int, end: int) -> bytes:
        with _one_line(f"cannot read {printable(self.label)}", self._url):
            data = bytes(self._system.cat_file(self._path, start=start, end=end, **_options(self._system)))
        if len(data) != end - start:
            raise SourceError(
                f"cannot read {printable(self.label)}: bytes {start} to {end} were asked for, and {len(data)} came: "
                "the file changed, or the server ignores ranges; open it again, or download it"
            )
        return data

    def _check(self, start: int, length: int) -> None:
        if start < 0 or length < 0 or start + length > self.size:
            raise SourceError(
                f"{printable(self.label)}: bytes {start} to {start + length} lie outside the file of {self.size} bytes"
            )


class RemoteFolder:
    """A folder behind a URL, such as a model on the Hugging Face hub or a prefix in a bucket.

    Args:
        url: as for `RemoteFile`.

    Raises:
        MissingExtraError: fsspec or the library for this kind of URL is not installed.
    """

    def __init__(self, url: str) -> None:
        self.label = _label(url)
        self._url = url
        self._system, self._path = _connect(url)

    def files(self) -> dict[str, int]:
        """See `Folder.files`."""
        with _one_line(f"cannot list {printable(self.label)}", self._url):
            entries = self._system.ls(self._path, detail=True)
        if len(entries) > ENTRIES:
            raise too_many(self.label)
        files = [entry for entry in entries if entry.get("type") != "directory"]
        sizes = {str(entry["name"]).rpartition("/")[2]: int(entry.get("size") or 0) for entry in files}
        return dict(sorted((name, size) for name, size in sizes.items() if name))

    def file(self, name: str) -> RemoteFile:
        """See `Folder.file`."""
        return RemoteFile(_below(self._url, name))

    def folder(self, name: str) -> "RemoteFolder":
        """See `Folder.folder`."""
        return RemoteFolder(_below(self._url, name))


def open_remote(url: str) -> RemoteFile | RemoteFolder:
    """What a URL leads to; plain web servers have no folders.

    Raises:
        MissingExtraError, SourceError: as for `RemoteFile`.
    """
    system, path = _connect(url)
    if _is_web(system):
        return RemoteFile(url)
    with _one_line(f"cannot open {printable(_label(url))}", url):
        is_folder = system.info(path)["type"] == "directory"
    return RemoteFolder(url) if is_folder else RemoteFile(url)


def _connect(url: str) -> "tuple[AbstractFileSystem, str]":
    shown = printable(_label(url))
    try:
        web = urlsplit(url).scheme.lower() in _HTTP
    except ValueError as error:
        raise SourceError(f"{shown} is no URL: {printable(str(error))}") from None
    if "::" in url and not web:  # in a web address it is part of an IPv6 address
        raise SourceError(f"{shown}: chained URLs are not opened, as they would download it whole: give the last one")
    try:
        from fsspec import filesystem
        from fsspec.core import url_to_fs
    except ImportError:
        raise MissingExtraError(f"opening {shown} needs fsspec: pip install 'weightsmith[remote]'") from None
    try:
        with _one_line(f"cannot open {shown}", url):
            system, path = (filesystem("http"), url) if web else url_to_fs(url)
    except ImportError as error:
        ours = urlsplit(url).scheme.lower() in _IN_EXTRA
        advice = "pip install 'weightsmith[remote]'" if ours else "install what its file system needs"
        raise MissingExtraError(f"opening {shown} needs another library ({printable(str(error))}): {advice}") from None
    for library in _CHATTY:
        logging.getLogger(library).addHandler(_SILENT)
    return system, path


def _information(system: "AbstractFileSystem", path: str) -> dict[str, Any]:
    """Size, type and tags; a web server is asked for one byte, as that alone shows whether it gives parts."""
    if not _is_web(system):
        return dict(system.info(path))
    from fsspec.asyn import sync

    found = sync(system.loop, _ask_for_a_byte, system, path)
    assert isinstance(found, dict)
    return found


def _is_web(system: "AbstractFileSystem") -> bool:
    names = [system.protocol] if isinstance(system.protocol, str) else system.protocol
    return bool(_HTTP.intersection(names))


def _options(system: "AbstractFileSystem") -> dict[str, Any]:
    """What makes a file system give exactly the bytes of a range: not compressed on the way, not read ahead."""
    if _is_web(system):
        return {"headers": {**system.kwargs.get("headers", {}), "Accept-Encoding": "identity"}}
    return {} if system.async_impl else {"cache_type": "none"}


async def _ask_for_a_byte(system: Any, url: str) -> dict[str, Any]:
    session = await system.set_session()
    options = {**system.kwargs, **_options(system)}
    options["headers"] = {**options["headers"], "Range": "bytes=0-0"}
    async with session.get(system.encode_url(url), **options) as response:  # left before the body of a refusal is read
        if response.status == 404:
            raise FileNotFoundError("no such file on the server")
        if response.status == 416:  # there is no first byte
            return {"size": 0, "type": "file"}
        response.raise_for_status()
        if response.status == 200 and response.headers.get("Content-Length") == "0":
            return {"size": 0, "type": "file"}
        if response.status != 206 and response.headers.get("Content-Type", "").startswith("text/html"):
            raise OSError("a web page, not a file; for a model on the Hugging Face hub write hf://organization/model")
        if response.status != 206:
            raise OSError("the server does not give parts of a file (HTTP ranges); download it and open the copy")
        total = response.headers.get("Content-Range", "").rpartition("/")[2]
        tags = {key: response.headers[key] for key in _VERSIONS if key in response.headers}
    return {**tags, "size": int(total) if total.isdecimal() else None, "type": "file"}


@contextmanager
def _one_line(doing: str, url: str) -> Iterator[None]:
    """Turn whatever the network, the server or a library says into one line without anybody's secrets."""
    try:
        yield
    except SourceError:
        raise
    except FileNotFoundError:
        raise SourceError(f"{doing}: no such file or folder") from None
    except _failures() as error:
        raise SourceError(f"{doing}: {_reason(error, url)}") from None


def _failures() -> tuple[type[BaseException], ...]:
    """All errors that a file system may raise on purpose, as far as its libraries are loaded."""
    loaded = [(sys.modules[name], classes) for name, classes in _ERRORS.items() if name in sys.modules]
    found = [getattr(module, each, None) for module, classes in loaded for each in classes]
    return (OSError, ValueError, NotImplementedError, *(each for each in found if each is not None))


def _reason(error: BaseException, url: str) -> str:
    status = getattr(error, "status", None)
    text = f"HTTP {status} {getattr(error, 'message', '')}" if isinstance(status, int) else str(error)
    text = text.strip().split("\n")[0] or type(error).__name__
    text = text.replace(url, _label(url))
    text = re.sub(r"(?<=://)[^/\s]*@", "", text)
    return printable(re.sub(r"(?<=\w)\?[^\s'\")]+", "", text)[:300])


def _label(url: str) -> str:
    """The URL without user, password, query and fragment, any of which may be a secret."""
    plain = re.split(r"[?#]", url, maxsplit=1)[0]
    return re.sub(r"(?<=://)[^/\s]*@", "", plain)


def _parent(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme.lower() not in _HTTP:
        return url.rpartition("/")[0]
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rpartition("/")[0], parts.query, ""))


def _below(url: str, name: str) -> str:
    """A path below a folder's URL; only web servers read percent signs."""
    parts = urlsplit(url)
    if parts.scheme.lower() not in _HTTP:
        return f"{url.rstrip('/')}/{name}"
    return urlunsplit((parts.scheme, parts.netloc, f"{parts.path.rstrip('/')}/{quote(name)}", parts.query, ""))
