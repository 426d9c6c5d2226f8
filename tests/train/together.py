"""Trains several recipes, one after the other, in the processes that `torch.distributed.run` starts.

Argument: a JSON list of `{"recipe": ..., "store": ..., "disturb": "interrupt" or "nan"}`; a disturbance befalls
process 1 alone, after its fifth step.
"""

import json
import math
import os
import signal
import sys
from typing import Any

from weightsmith.train.assembly import Assembly
from weightsmith.train.training import train

PLAIN = Assembly.update


def disturbed(what: str) -> Any:
    done = [0]

    def update(self: Assembly, loss: Any, progress: float) -> None:
        PLAIN(self, loss, progress)
        done[0] += 1
        if done[0] == 5 and os.environ["RANK"] == "1":
            if what == "interrupt":
                os.kill(os.getpid(), signal.SIGTERM)
            else:
                next(self.module.parameters()).data.fill_(math.nan)

    return update


for job in json.loads(sys.argv[1]):
    Assembly.update = disturbed(job["disturb"]) if job.get("disturb") else PLAIN
    result = train(job["recipe"], store=job["store"], progress=False)
    sys.stdout.write(f"ended {os.environ['RANK']} {result.ending} {result.steps}\n")
    sys.stdout.flush()
