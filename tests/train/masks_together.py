"""Trains sparse weights in the processes that `torch.distributed.run` starts, and says what masks each ended with.

Argument: a JSON list of recipes.
"""

import hashlib
import json
import os
import sys

from weightsmith.train.training import train

for recipe in json.loads(sys.argv[1]):
    state = train(recipe, progress=False).model.state_dict()
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(state[name].numpy().tobytes())
    zeros = sum(int((~value).sum()) for name, value in state.items() if name.endswith(".mask"))
    sys.stdout.write(f"ended {os.environ['RANK']} {zeros} {digest.hexdigest()}\n")
    sys.stdout.flush()
