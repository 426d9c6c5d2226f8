"""Whether the process that writes a run is still there."""

import os
import socket
import sys
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from weightsmith.store.records import Status

STALE = timedelta(seconds=60)
"""Silence after which a running run counts as lost."""


@cache
def this_machine() -> str:
    """A name for the machine, and for the process-id namespace where containers share a host's name."""
    namespace = Path("/proc/self/ns/pid")
    inside = str(namespace.readlink()) if namespace.is_symlink() else ""
    return f"{socket.gethostname()} {inside}".rstrip()


def judged_status(status: Status, updated: datetime, machine: str, process: int) -> Status:
    """`lost` for a run that claims to be running while nothing keeps it running; else the status as stored."""
    if status != "running":
        return status
    if datetime.now(UTC) - updated > STALE:
        return "lost"
    return "running" if machine != this_machine() or _exists(process) else "lost"


def _exists(process: int) -> bool:
    if sys.platform == "win32":  # there, signal 0 would end the process; the heartbeat has to do
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
