"""A process that imports once and trains in forked children, so that tests can kill real processes and start new ones.

Reads one JSON job a line: `{"store": ..., "recipe": ..., "resume": ..., "kill_at": steps of this sitting, "kill_after":
seconds after that, "signal": 9}`; writes the exit status, or minus the number of the signal that ended it.
"""

import json
import os
import signal
import sys
import tempfile
import threading
import warnings
from typing import Any

from weightsmith.train import checkpoint, training
from weightsmith.train.loop import Ending, Loop, Signals
from weightsmith.train.training import train

EXITS: dict[Ending, int] = {"budget": 0, "early_stopping": 0, "non_finite": 3, "interrupted": 4}


class Doomed(Loop):
    """A loop that gets a signal some time after a step, from a thread that knows nothing about where it is by then."""

    at: int | None = None
    after = 0.0
    number = signal.SIGKILL
    done = 0

    def _step(self, *given: Any) -> Signals:
        if self.done == self.at:
            timer = threading.Timer(self.after, os.kill, (os.getpid(), self.number))
            timer.daemon = True
            timer.start()
        self.done += 1
        return super()._step(*given)


def run(job: dict[str, Any]) -> int:
    checkpoint.INTERVAL, checkpoint.COST_SHARE = 0.02, 1.0
    Doomed.at, Doomed.after, Doomed.number = job.get("kill_at"), job.get("kill_after", 0.0), job.get("signal", 9)
    training.Loop = Doomed
    result = train(job.get("recipe"), store=job["store"], resume=job.get("resume"), progress=job.get("progress", False))
    return EXITS[result.ending]


def main() -> None:
    warnings.simplefilter("error")
    with tempfile.TemporaryDirectory() as folder:
        train({"budget": {"steps": 2}, "data": "iris", "penalties": {"l1": 1e-3}}, store=folder, progress=False)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os._exit(run(json.loads(line)))
        _, status = os.waitpid(child, 0)
        code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        sys.stdout.write(f"{code}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
