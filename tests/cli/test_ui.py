"""`weightsmith ui`: what it opens, what it prints, how it ends, and its one-line errors."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request

import numpy as np
import pytest

from weightsmith.cli.ui import is_store
from weightsmith.sources import write_safetensors
from weightsmith.store import Store


@pytest.fixture
def weights_file(tmp_path):
    path = tmp_path / "model.safetensors"
    write_safetensors(path, {"fc.weight": np.eye(4, dtype=np.float32)})
    return path


@pytest.fixture
def start():
    begun = []

    def run(*arguments):
        command = [sys.executable, "-m", "weightsmith", "ui", "--no-browser", *map(str, arguments)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        begun.append(process)
        process.address = process.stdout.readline().split()[3]
        return process

    yield run
    for process in begun:
        process.kill()
        process.communicate()


def hello(process, path="/api/hello", **headers):
    host, _, port = process.address.removeprefix("http://").partition("/")[0].rpartition(":")
    connection = http.client.HTTPConnection("127.0.0.1" if not host.startswith("[") else "::1", int(port), timeout=120)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def test_it_serves_until_ctrl_c_and_ends_without_a_word(start, weights_file, tmp_path):
    Store.open(tmp_path / "runs").close()
    process = start(tmp_path / "runs", weights_file)
    response, body = hello(process)
    assert response.status == 200
    facts = json.loads(body)
    assert [one["label"] for one in facts["stores"]] == [str(tmp_path / "runs")]
    assert [one["label"] for one in facts["files"]] == [str(weights_file)]
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out, err) == (0, "", "")


def test_what_is_still_computed_does_not_hold_up_the_end(weights_file):
    script = f"""
import atexit, sys, threading, time
from weightsmith.__main__ import main
from weightsmith.web import serve, work

def compute(app, opened, needed):
    needed.result()
    thread = threading.Thread(target=time.sleep, args=(3600,), daemon=True)
    thread.start()
    work._computing[thread] = work.Check()

serve.serve, work.PATIENCE = compute, 3600
atexit.register(print, "the interpreter's own way out")
sys.argv = ["weightsmith", "ui", "--no-browser", {str(weights_file)!r}]
main()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Weightsmith is at http")
    assert done.stdout.count("\n") == 1


LOAD = """
import sys, threading
from weightsmith.__main__ import main
from weightsmith.cli import ui

def load(*_):
    {load}

ui._application = load
sys.argv = ["weightsmith", "ui", "--no-browser", {file!r}]
main()
"""


def test_it_ends_where_what_answers_requests_does_not_load(weights_file):
    script = LOAD.format(load="raise ModuleNotFoundError('no fastapi')", file=str(weights_file))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr == (
        "error: the page cannot be served: ModuleNotFoundError: no fastapi; install weightsmith again\n"
    )


def test_ctrl_c_does_not_wait_for_what_still_loads(weights_file):
    script = LOAD.format(load="threading.Event().wait()", file=str(weights_file))
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.address = process.stdout.readline().split()[3]
    assert hello(process, "/")[0].status == 200
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out, err) == (0, "", "")


def test_without_arguments_it_shows_the_users_store(start, private_store):
    Store.open(private_store).close()
    facts = json.loads(hello(start())[1])
    assert [one["label"] for one in facts["stores"]] == [str(private_store)]


def test_a_file_alone_is_shown_without_a_store(start, weights_file):
    facts = json.loads(hello(start(weights_file))[1])
    assert facts["stores"] == []
    assert len(facts["files"]) == 1


def test_a_store_may_be_named_beside_files(start, weights_file, tmp_path):
    Store.open(tmp_path / "other").close()
    facts = json.loads(hello(start(weights_file, "--store", tmp_path / "other"))[1])
    assert [one["label"] for one in facts["stores"]] == [str(tmp_path / "other")]


def test_two_at_once_find_two_ports(start, weights_file):
    first, second = start(weights_file), start(weights_file)
    assert first.address != second.address
    assert hello(first)[0].status == hello(second)[0].status == 200


def test_beyond_this_machine_the_address_bears_a_token(start, weights_file):
    process = start(weights_file, "--host", "0.0.0.0")
    assert hello(process)[0].status == 403
    token = process.address.partition("?token=")[2]
    response, _ = hello(process, f"/?token={token}")
    assert response.status == 303
    cookie = response.headers["set-cookie"].partition(";")[0]
    assert hello(process, cookie=cookie)[0].status == 200


def test_a_prefix_is_part_of_the_address(start, weights_file):
    process = start(weights_file, "--prefix", "/x")
    assert process.address.endswith("/x/")
    assert hello(process, "/x/api/hello")[0].status == 200


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing.safetensors"], ["nothing.safetensors", "no such file"]),
        (["nothing.db"], ["nothing.db", "no store is there"]),
        (["--store", "nowhere"], ["nowhere", "no store is there"]),
        (["broken.safetensors"], ["broken.safetensors"]),
        (["fine.safetensors", "--prefix", "x"], ["--prefix"]),
        (["fine.safetensors", "--host", "no.such.host.invalid"], ["--host", "no.such.host.invalid"]),
        (["mysql://x/y"], ["mysql"]),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(weightsmith, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.safetensors").write_bytes(b"\xff" * 100)
    write_safetensors(tmp_path / "fine.safetensors", {"w": np.eye(4, dtype=np.float32)})
    outcome = weightsmith("ui", "--no-browser", *arguments)
    assert outcome.code == 2, outcome.out
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    assert all(word in outcome.err for word in words), outcome.err


def test_a_port_that_is_taken_is_one_line(weightsmith, start, weights_file):
    port = start(weights_file).address.rstrip("/").rpartition(":")[2]
    outcome = weightsmith("ui", "--no-browser", "--port", port, weights_file)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert port in outcome.err


def test_the_browser_is_opened_unless_not_wanted(weightsmith, weights_file, monkeypatch):
    opened = []

    def browse(address):
        opened.append(address)
        threading.Thread(target=look, args=(address,)).start()

    def look(address):
        try:
            urllib.request.urlopen(f"{address}api/hello", timeout=120).close()
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("webbrowser.open", browse)
    outcome = weightsmith("ui", weights_file)
    assert outcome.code == 0
    assert opened == [outcome.out.split()[3]]


def test_stores_are_told_from_weights(tmp_path, weights_file):
    Store.open(tmp_path / "runs").close()
    (tmp_path / "model").mkdir()
    for reference, expected in [
        *((tmp_path / "runs", True), (tmp_path / "model", False), (weights_file, False), ("x.db", True)),
        *(("postgresql://h/d", True), ("hf://org/model", False), ("https://h/x.safetensors", False), ("\0", False)),
    ]:
        assert is_store(str(reference)) is expected, reference


def test_other_commands_do_not_load_the_server():
    show = (
        "import sys, weightsmith.cli.app; print([m for m in ('fastapi', 'uvicorn', 'starlette') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_address_is_printed_before_what_answers_questions_is_loaded(weights_file, tmp_path):
    Store.open(tmp_path / "runs").close()
    script = f"""
import sys
from weightsmith.cli.app import app
from weightsmith.web import starting

class Asked(starting.Starting):
    def __init__(self, load):
        heavy = ("fastapi", "pydantic", "numba", "scipy", "weightsmith.analysis", "weightsmith.rules.catalog")
        print([name for name in heavy if name in sys.modules])
        sys.exit()

starting.Starting = Asked
app(["ui", "--no-browser", {str(tmp_path / "runs")!r}, {str(weights_file)!r}])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    address, loaded = done.stdout.splitlines()
    assert address.startswith("Weightsmith is at http")
    assert loaded == "[]"
