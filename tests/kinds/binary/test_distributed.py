"""Two processes under DDP train the same binary weights as one."""

import json
from pathlib import Path

WAYS: list[dict] = [
    {"estimator": "reste", "activations": "binary", "activation_estimator": "approx_sign"},
    {"estimator": "proximal", "scale": "learned"},
    {"stochastic": True, "latent_bound": "glorot"},
    {"latent": False},
]


def test_two_processes_end_with_the_weights_of_one(said_together):
    digests = []
    for processes in (2, 1):
        script = Path(__file__).with_name("together.py")
        said = said_together(script, json.dumps(WAYS), str(processes), processes=processes)
        digests += [json.loads(line.removeprefix("digests")) for line in said if line.startswith("digests")]
    both, alone = digests
    assert both == alone
