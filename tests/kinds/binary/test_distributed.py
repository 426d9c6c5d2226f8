"""Two processes under DDP train the same binary weights as one."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

WAYS: list[dict] = [
    {"estimator": "reste", "activations": "binary", "activation_estimator": "approx_sign"},
    {"estimator": "proximal", "scale": "learned"},
    {"stochastic": True, "latent_bound": "glorot"},
    {"latent": False},
]


def digests(processes: int) -> list[str]:
    """Of the weights that each way ends with."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [sys.executable, *(launcher if processes > 1 else [])]
    command += [str(Path(__file__).with_name("together.py")), json.dumps(WAYS), str(processes)]
    started = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )
    try:
        said, errors = started.communicate(timeout=200)
    except subprocess.TimeoutExpired:
        os.killpg(started.pid, signal.SIGKILL)
        started.communicate()
        raise
    assert started.returncode == 0, errors[-3000:]
    line = next(line for line in said.splitlines() if line.startswith("digests"))
    return json.loads(line.removeprefix("digests"))


def test_two_processes_end_with_the_weights_of_one():
    assert digests(2) == digests(1)
