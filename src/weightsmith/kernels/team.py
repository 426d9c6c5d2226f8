"""Threads that help with short work: tens of microseconds, in which a sleeping thread would not even wake up.

Helpers never enter Python. For some time after their last task they watch a word of memory for the next one, then
sleep. A task is a compiled function and the address of its arguments; the calling thread posts it from compiled code,
takes part itself, and returns when nobody works on it any more. Whoever calls while the team is busy works alone.
"""

import atexit
import ctypes
import os
import threading
import time
from contextlib import suppress
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from weightsmith.kernels.parallel import threads as default_threads
from weightsmith.kernels.shared_words import (
    add,
    call,
    let_others,
    load,
    lock,
    pause,
    sleep,
    swap,
    unlock,
    wake_all,
)

Words = NDArray[np.int64]
Team = tuple[Words, int]
"""What threads share, and how many of them, for `together`."""

MOST = 4
"""Threads of a team, the caller's included: what wakes and watches more of them would outweigh such short work."""

WATCHED = 100e-6
"""Seconds for which helpers watch for the next task."""

SHORT = 1e-3
"""Seconds of work above which the pool of `parallel.map_blocks`, which has more threads, does as well."""

_LEAST = 12e-6
"""Seconds of work below which it would take longer to post it."""

_WAKING = 150e-6
"""Seconds of work that are worth waking helpers for; for less they are woken once calls follow each other closely."""

# Words of a team; each that changes often has a cache line of its own.
_LINE = 8
_BUSY, _OPEN, _INSIDE, _TAKEN, _BACK, _FAILED, _ASLEEP, _STOP = range(0, 8 * _LINE, _LINE)
_ENTRY, _PLACE, _PARTS, _HELPERS, _WATCH, _LAST = range(8 * _LINE, 8 * _LINE + 6)
_MUTEX, _CONDITION, _SIZE = 9 * _LINE, 11 * _LINE, 13 * _LINE

ALONE: Team = (np.empty(0, np.int64), 1)
"""No team."""

_PATIENCE = 100
"""Turns of waiting after which a caller lets others have its processor: the helper it waits for may need it."""

_starting = threading.Lock()
_team: Words | None = None
_called = 0.0
_members: list[threading.Thread] = []


def team(seconds: float, threads: int | None = None) -> tuple[Team, int]:
    """Whom to give to `together`, and for how many parts they are; the helpers start with the first call for them.

    Args:
        seconds: about what the work takes one thread.
        threads: most threads to use, the calling one included; by default `parallel.threads()`.

    Returns:
        The team and its threads; `ALONE` and 1 where one thread is as fast.
    """
    global _called
    if seconds < _LEAST:
        return ALONE, 1
    members = min(default_threads() if threads is None else threads, MOST)
    words = ALONE[0] if members < 2 else _start() if _team is None else _team
    if words.size and seconds < _WAKING:
        now, last = time.perf_counter(), _called
        _called = now
        if words[_ASLEEP] and now - last > 2 * WATCHED:
            return ALONE, 1
    return ((words, members), members) if words.size else (ALONE, 1)


@njit(nogil=True, cache=True)
def together(team: Any, task: Any, parts: int) -> bool:
    """Do each part of `range(parts)` with a team, if it has time.

    The caller takes parts from the first on, helpers from the last, so that caches meet the same data again. Parts run
    at the same time.

    Args:
        team: what `team` gave.
        task: from `task_of(function)(arguments)`, called in the function that calls this one; `function` is compiled
            and does without the GIL.
        parts: how many.

    Returns:
        Whether all is done. If not, for want of a team or because a part raised, the caller does all parts by itself,
        and so meets the exception where it can be raised.
    """
    words, members = team
    return bool(words.size > 0 and parts > 1 and _lead(words, members - 1, task, parts))


@njit(nogil=True, cache=True)
def _lead(team: Any, helpers: int, task: Any, parts: int) -> bool:
    """Do a task with so many helpers at most; false if the team has no time or a part raised."""
    if swap(team, _BUSY, 1):
        return False
    entry, place = task
    team[_ENTRY], team[_PLACE], team[_PARTS], team[_HELPERS] = entry, place, parts, helpers
    team[_TAKEN] = team[_BACK] = team[_FAILED] = 0
    team[_LAST] += 1
    # What was written before is seen by whoever sees this.
    swap(team, _OPEN, team[_LAST])
    if load(team, _ASLEEP):
        _wake(team)
    failed, part = 0, 0
    while add(team, _TAKEN, 1) < parts:
        failed |= call(entry, place, part)
        part += 1
    # Who comes in from now on finds the task closed; who was in before is waited for.
    swap(team, _OPEN, 0)
    turns = 0
    while load(team, _INSIDE):
        pause()
        turns += 1
        if turns % _PATIENCE == 0:
            let_others()
    failed |= load(team, _FAILED)
    swap(team, _BUSY, 0)
    return bool(failed == 0)


@njit(nogil=True, cache=True)
def _serve(team: Any) -> None:
    """What a helper does all its life."""
    done = 0
    while not load(team, _STOP):
        if not _watch(team, done, team[_WATCH]):
            _rest(team)
            continue
        others = add(team, _INSIDE, 1)
        found = load(team, _OPEN)
        fresh = found != 0 and found != done
        done = found if fresh else done
        if fresh and others < team[_HELPERS]:
            while add(team, _TAKEN, 1) < team[_PARTS]:
                part = team[_PARTS] - 1 - add(team, _BACK, 1)
                if call(team[_ENTRY], team[_PLACE], part):
                    swap(team, _FAILED, 1)
        add(team, _INSIDE, -1)


@njit(nogil=True, cache=True)
def _watch(team: Any, done: int, turns: int) -> bool:
    """Look for a task other than the one that was done; false if there is none for so many turns."""
    for _ in range(turns):
        found = load(team, _OPEN)
        if found and found != done:
            return True
        pause()
    return False


@njit(nogil=True, cache=True)
def _rest(team: Any) -> None:
    lock(team, _MUTEX)
    add(team, _ASLEEP, 1)
    if not load(team, _STOP):
        sleep(team, _CONDITION, _MUTEX)
    add(team, _ASLEEP, -1)
    unlock(team, _MUTEX)


@njit(nogil=True, cache=True)
def _wake(team: Any) -> None:
    lock(team, _MUTEX)
    wake_all(team, _CONDITION)
    unlock(team, _MUTEX)


def _start() -> Words:
    """Start the helpers."""
    global _team
    with _starting:
        if _team is None:
            members = min(default_threads(), MOST) - 1
            _team = _with_helpers(members) if os.name == "posix" and members else ALONE[0]
        return _team


def _with_helpers(members: int) -> Words:
    words = _blank()
    library = ctypes.CDLL(None)
    library.pthread_mutex_init(ctypes.c_void_p(words[_MUTEX:].ctypes.data), None)
    library.pthread_cond_init(ctypes.c_void_p(words[_CONDITION:].ctypes.data), None)
    words[_WATCH] = _turns(WATCHED)
    # Compiled here, not by threads that a fork would cut short.
    words[_STOP] = 1
    _serve(words)
    _wake(words)
    words[_STOP] = 0
    with suppress(RuntimeError):
        for _ in range(members):
            member = threading.Thread(target=_serve, args=(words,), name="weightsmith-team", daemon=True)
            member.start()
            _members.append(member)
    return words


def _blank() -> Words:
    """Words of zeros that begin with a cache line."""
    room = np.zeros(_SIZE + _LINE, np.int64)
    return room[-(room.ctypes.data // room.itemsize) % _LINE :][:_SIZE]


def _turns(seconds: float) -> int:
    """How many turns of `_watch` take so long."""
    nothing = _blank()
    _watch(nothing, 0, 1)
    took = []
    for _ in range(5):
        began = time.perf_counter()
        _watch(nothing, 0, 500)
        took.append(time.perf_counter() - began)
    return int(500 * seconds / min(took)) + 1


def _dismiss() -> None:
    """Let helpers end while the code they run is still there."""
    global _team
    with _starting:
        if _team is not None and _team.size:
            _team[_STOP] = 1
            _wake(_team)
            for member in _members:
                member.join()
        _team = ALONE[0]


def _forget() -> None:
    """A forked child inherits the team but none of its threads."""
    global _team, _starting
    _team, _starting = None, threading.Lock()
    _members.clear()


atexit.register(_dismiss)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
