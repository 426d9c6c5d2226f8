import gc
import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import weightsmith.sources as sources
from weightsmith.errors import MissingExtraError, SourceError
from weightsmith.sources import remote, write_safetensors
from weightsmith.sources.file import File
from weightsmith.sources.remote import AHEAD, BLOCK, RemoteFile

fsspec = pytest.importorskip("fsspec")
pytest.importorskip("aiohttp")

NOISE = np.random.default_rng(0).integers(0, 256, 5 * BLOCK + 17, dtype=np.uint8).tobytes()


class Server(ThreadingHTTPServer):
    """Serves bytes by path; `ranges` off ignores the Range header, as simple servers do."""

    def __init__(self):
        self.files, self.ranges, self.served, self.requests, self.status = {}, True, 0, [], None
        super().__init__(("127.0.0.1", 0), Handler)

    def url(self, path):
        return f"http://127.0.0.1:{self.server_port}/{path}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        server, path = self.server, unquote(urlsplit(self.path).path.lstrip("/"))
        server.requests.append((path, self.headers.get("Range"), self.headers.get("Accept-Encoding")))
        content = server.files.get(path)
        status = server.status or (404 if content is None else 200)
        if status != 200:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        wanted = self.headers.get("Range")
        if wanted and server.ranges:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            body = content[int(first) : int(last) + 1]
            self.send_response(206 if content else 416)
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        else:
            body = content
            self.send_response(200)
        if content.startswith(b"<!DOCTYPE html"):
            self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("ETag", f'"{hash(content)}"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        for start in range(0, len(body), 1 << 16):
            try:
                self.wfile.write(body[start : start + (1 << 16)])
            except OSError:  # the client left
                self.close_connection = True
                return
            server.served += len(body[start : start + (1 << 16)])


@pytest.fixture
def server():
    running = Server()
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


@pytest.fixture
def memory():
    """fsspec's file system in memory, emptied afterwards; `put` stores bytes in it."""
    system = fsspec.filesystem("memory")
    yield system
    system.store.clear()
    system.pseudo_dirs[:] = [""]


def safetensors_bytes(tmp_path, **tensors):
    path = tmp_path / "made.safetensors"
    write_safetensors(path, tensors)
    return path.read_bytes()


def refusal(what):
    with pytest.raises(SourceError) as caught:
        sources.open(what)
    message = str(caught.value)
    assert message.isprintable(), message
    return message


def test_a_remote_file_is_a_file(memory):
    memory.pipe("/noise", NOISE)
    file = RemoteFile("memory://noise")
    assert isinstance(file, File)
    assert (file.size, file.label) == (len(NOISE), "memory://noise")


@given(start=st.integers(0, len(NOISE)), length=st.integers(0, len(NOISE)), warm=st.integers(0, len(NOISE)))
def test_any_range_reads_as_it_is(start, length, warm):
    fsspec.filesystem("memory").pipe("/noise", NOISE)
    file = RemoteFile("memory://noise")
    length = min(length, len(NOISE) - start)
    file.view(warm, min(10, len(NOISE) - warm))
    assert bytes(file.view(start, length)) == NOISE[start : start + length]
    buffer = bytearray(length)
    file.read_into(start, memoryview(buffer))
    assert buffer == NOISE[start : start + length]


@pytest.mark.parametrize(("start", "length"), [(-1, 1), (0, len(NOISE) + 1), (len(NOISE), 1), (1, -1)])
def test_ranges_outside_the_file_are_refused(memory, start, length):
    memory.pipe("/noise", NOISE)
    with pytest.raises(SourceError, match="lie outside the file"):
        RemoteFile("memory://noise").view(start, length)


def count_fetches(monkeypatch, memory):
    fetched = []
    original = memory.cat_file

    def cat_file(path, start=None, end=None, **options):
        fetched.append((start, end))
        return original(path, start, end, **options)

    monkeypatch.setattr(memory, "cat_file", cat_file)
    return fetched


def test_small_reads_come_in_blocks_and_large_ones_directly(memory, monkeypatch):
    size = 60 * BLOCK
    memory.pipe("/zeros", bytes(size))
    file = RemoteFile("memory://zeros")
    fetched = count_fetches(monkeypatch, memory)
    for start in (0, 8, 500_000):
        file.view(start, 100)
    assert fetched == [(0, AHEAD * BLOCK)]
    file.view(40 * BLOCK + 5, 10)
    assert fetched[1:] == [(40 * BLOCK, 41 * BLOCK)]
    file.view(41 * BLOCK, 10)  # the next one: read ahead
    assert fetched[2:] == [(41 * BLOCK, 57 * BLOCK)]
    monkeypatch.setattr(remote, "PIECE", 1 << 20)
    file.view(10, 3 << 20)
    assert fetched[3:] == [(10 + (n << 20), 10 + ((n + 1) << 20)) for n in range(3)]
    assert len(file._blocks) == 2 * AHEAD + 1


def test_file_systems_that_open_a_file_for_each_range_do_not_read_ahead():
    """As the one of the Hugging Face hub does; its own files would fetch 5 MiB at a time."""
    from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

    fetched = []

    class Buffered(AbstractBufferedFile):
        def _fetch_range(self, start, end):
            fetched.append((start, end))
            return NOISE[start:end]

    class Hub(AbstractFileSystem):
        protocol = "testhub"

        def info(self, path, **_):
            return {"name": path, "size": len(NOISE), "type": "file", "blob_id": "b1"}

        def _open(self, path, mode="rb", **options):
            return Buffered(self, path, mode, size=len(NOISE), **options)

    fsspec.register_implementation("testhub", Hub, clobber=True)
    file = RemoteFile("testhub://org/model/file")
    assert "blob_id=b1" in file.identity()
    assert bytes(file.view(3 * BLOCK + 7, 20)) == NOISE[3 * BLOCK + 7 :][:20]
    assert fetched == [(3 * BLOCK, 4 * BLOCK)]


def test_the_cache_is_bounded(memory, monkeypatch):
    memory.pipe("/zeros", bytes(64 * BLOCK))
    file = RemoteFile("memory://zeros")
    monkeypatch.setattr(remote, "KEPT", 20)
    for start in range(0, 64 * BLOCK, BLOCK):
        file.view(start, 1)
    assert len(file._blocks) == 20


def test_several_threads_read_the_same(memory):
    memory.pipe("/noise", NOISE)
    file = RemoteFile("memory://noise")
    wrong = []

    def read(seed):
        for start in np.random.default_rng(seed).integers(0, len(NOISE) - 100, 50).tolist():
            wrong.extend([start] if bytes(file.view(start, 100)) != NOISE[start : start + 100] else [])

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_opening_50_mb_over_http_reads_under_2(server, tmp_path):
    matrix = np.arange(12_500_000, dtype=np.float32).reshape(2500, 5000)
    server.files["model.safetensors"] = safetensors_bytes(tmp_path, small=matrix[0], big=matrix)
    source = sources.open(server.url("model.safetensors"))
    assert server.served < 2_000_000
    assert source.file_format == "safetensors"
    assert source.label == server.url("model.safetensors")
    np.testing.assert_array_equal(source["big"].read(), matrix)
    assert sum(block.size for block in source["big"].blocks()) == matrix.size
    assert server.served < 2.1 * matrix.nbytes + 2_000_000
    assert {encoding for _, _, encoding in server.requests} == {"identity"}


def test_a_torch_checkpoint_over_http_is_not_downloaded(server, tmp_path):
    torch = pytest.importorskip("torch")
    values = {f"layers.{number}.weight": torch.full((1000, 1000), float(number)) for number in range(8)}
    torch.save(values, tmp_path / "model.pt")
    server.files["model.pt"] = (tmp_path / "model.pt").read_bytes()
    source = sources.open(server.url("model.pt"))
    assert server.served < 4_000_000
    assert (source["layers.7.weight"].read() == 7).all()


def test_a_server_without_ranges_is_refused_before_it_sends_all(server):
    server.ranges = False
    server.files["model.safetensors"] = bytes(50_000_000)
    assert "does not give parts of a file" in refusal(server.url("model.safetensors"))
    assert server.served < 20_000_000


def test_a_web_page_is_no_file(server):
    server.ranges = False
    server.files["org/model"] = b"<!DOCTYPE html>"
    assert "hf://organization/model" in refusal(server.url("org/model"))


def test_a_server_that_stops_giving_ranges(server, tmp_path):
    server.files["m.safetensors"] = safetensors_bytes(tmp_path, a=np.zeros(1 << 20, np.float32))
    source = sources.open(server.url("m.safetensors"))
    server.ranges = False
    with pytest.raises(SourceError, match="the server ignores ranges"):
        source["a"].read()


@pytest.mark.parametrize(
    ("status", "words"), [(404, "no such file"), (401, "HTTP 401"), (403, "HTTP 403"), (500, "HTTP 500")]
)
def test_what_servers_refuse_is_one_line(server, status, words):
    server.status = status
    message = refusal(server.url("model.safetensors"))
    assert message.startswith(f"cannot open {server.url('model.safetensors')}: ")
    assert words in message


def test_nobody_listens():
    with Server() as gone:
        url = gone.url("x.safetensors")
    assert url in refusal(url)


def test_an_empty_remote_file(server):
    server.files["a.safetensors"] = b""
    assert "is empty" in refusal(server.url("a.safetensors"))


def test_secrets_in_urls_are_shown_nowhere(server, tmp_path):
    server.files["a b.safetensors"] = safetensors_bytes(tmp_path, a=np.zeros(3, np.float32))
    host = f"127.0.0.1:{server.server_port}"
    source = sources.open(f"http://me:hunter2@{host}/a%20b.safetensors?token=s3cret#fragment")
    assert source.label == f"http://{host}/a%20b.safetensors"
    assert "hunter2" not in (source.files[0].identity() or "")
    server.status = 403
    for what in (f"http://me:hunter2@{host}/x?token=s3cret", f"s3::http://me:hunter2@{host}/x?token=s3cret"):
        assert not any(secret in refusal(what) for secret in ("hunter2", "s3cret", "me:"))


def test_shards_over_http(server, tmp_path):
    homes = {"a": "part #1.safetensors", "b": "part #2.safetensors"}
    for name, shard in homes.items():
        server.files[f"m/{shard}"] = safetensors_bytes(tmp_path, **{name: np.zeros(3, np.float32)})
    server.files["m/model.safetensors.index.json"] = json.dumps({"weight_map": homes}).encode()
    source = sources.open(server.url("m/model.safetensors.index.json?token=1"))
    assert list(source) == ["a", "b"]
    assert len(source.files) == 2
    del server.files["m/part #2.safetensors"]
    assert "holds 1 of 2 weights" in refusal(server.url("m/model.safetensors.index.json"))


def test_siblings_stay_in_the_folder(memory):
    memory.pipe({"/m/a": b"1", "/m/sub/b": b"22", "/c": b"3"})
    file = RemoteFile("memory://m/a")
    assert bytes(file.sibling("sub/b").view(0, 2)) == b"22"
    for name in ("../c", "/c", "memory://c", ""):
        with pytest.raises(SourceError, match="not inside its folder"):
            file.sibling(name)
    with pytest.raises(SourceError, match="no such file"):
        file.sibling("d")


def test_remote_folders(memory, tmp_path):
    memory.pipe(
        {
            "/org/model/model.safetensors": safetensors_bytes(
                tmp_path, **{"qkv.weight": np.zeros((12, 4), np.float32)}
            ),
            "/org/model/config.json": b'{"num_attention_heads": 4, "num_key_value_heads": 2}',
            "/org/model/onnx/model.onnx": b"x",
            "/org/model/optimizer.pt": b"x",
        }
    )
    source = sources.open("memory://org/model")
    assert list(source) == ["qkv.weight"]
    assert source["qkv.weight"].info.parts == ()
    assert source.label == "memory://org/model/model.safetensors"
    memory.pipe("/pipe/model_index.json", b'{"unet": ["a", "b"]}')
    memory.pipe("/pipe/unet/x.safetensors", safetensors_bytes(tmp_path, w=np.zeros((2, 2), np.float32)))
    assert list(sources.open("memory://pipe/")) == ["unet.w"]
    with pytest.raises(SourceError, match="is a folder: give a file"):
        RemoteFile("memory://org")
    assert "no such file or folder" in refusal("memory://nothing")


def test_identity_changes_with_the_content(memory, server):
    memory.pipe("/a", b"1")
    before = RemoteFile("memory://a").identity()
    assert before == RemoteFile("memory://a").identity()
    memory.pipe("/a", b"2")
    assert RemoteFile("memory://a").identity() != before
    server.files["a"] = b"one"
    before = RemoteFile(server.url("a")).identity()
    server.files["a"] = b"two"
    assert "ETag" in before
    assert RemoteFile(server.url("a")).identity() != before


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nosuch://a/b", "nosuch"),
        ("https://[::1/x", "no URL"),
        ("zip://a.pt::https://example.invalid/x.zip", "chained URLs"),
        ("memory://a\x1b[31m", "\\x1b[31m"),
        ("file:///nowhere/x.safetensors", "no such file"),
    ],
)
def test_urls_that_do_not_open(url, words):
    assert words in refusal(url)


@pytest.mark.parametrize("blocked", ["fsspec", "fsspec.core"])
def test_a_missing_library_names_the_extra(monkeypatch, blocked):
    monkeypatch.setitem(sys.modules, blocked, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'weightsmith\[remote\]'"):
        sources.open("memory://a/b")


def test_a_missing_library_of_a_scheme_names_the_extra(monkeypatch):
    def missing(*_, **__):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(MissingExtraError, match=r"Install s3fs to access S3.*pip install 'weightsmith\[remote\]'"):
        sources.open("s3://bucket/key")


def test_a_missing_library_that_no_extra_has(monkeypatch):
    monkeypatch.setitem(sys.modules, "paramiko", None)
    with pytest.raises(MissingExtraError, match="install what its file system needs"):
        sources.open("sftp://me:secret@127.0.0.1/x")


def test_errors_that_are_no_os_errors_are_one_line(memory, monkeypatch):
    from botocore.exceptions import NoCredentialsError

    def deny(*_, **__):
        raise NoCredentialsError

    memory.pipe("/a", b"1")
    monkeypatch.setattr(memory, "info", deny)
    assert "Unable to locate credentials" in refusal("memory://a")


def test_opening_a_local_file_needs_no_fsspec(tmp_path):
    write_safetensors(tmp_path / "a.safetensors", {"a": np.zeros(2, np.float32)})
    code = "import sys, weightsmith as ws; ws.open(sys.argv[1]); print('fsspec' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.safetensors")], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_nothing_is_left_open(server, tmp_path, recwarn):
    server.files["a.safetensors"] = safetensors_bytes(tmp_path, a=np.zeros(3, np.float32))
    sources.open(server.url("a.safetensors"))
    gc.collect()
    assert [str(each.message) for each in recwarn] == []


def test_what_a_file_system_cannot_do_is_one_line():
    with (
        pytest.raises(SourceError, match=r"^cannot open hf://: lists are not implemented$"),
        remote._one_line("cannot open hf://", "hf://"),
    ):
        raise NotImplementedError("lists are not implemented")
