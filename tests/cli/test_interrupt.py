"""Ctrl-C as modules are imported."""

import signal
import subprocess
import sys

import pytest

from weightsmith.cli.interrupt import ending_at_once


def test_ctrl_c_ends_the_process_without_a_word():
    script = """
import os, signal
from weightsmith.cli.interrupt import ending_at_once

with ending_at_once():
    os.kill(os.getpid(), signal.SIGINT)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


@pytest.mark.parametrize("before", [signal.default_int_handler, signal.SIG_IGN, lambda *_: None])
def test_afterwards_it_does_what_it_did(before):
    kept = signal.signal(signal.SIGINT, before)
    try:
        with ending_at_once():
            expected = signal.SIG_DFL if before is signal.default_int_handler else before
            assert signal.getsignal(signal.SIGINT) is expected
        assert signal.getsignal(signal.SIGINT) is before
    finally:
        signal.signal(signal.SIGINT, kept)
