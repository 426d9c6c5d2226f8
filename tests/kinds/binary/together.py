"""Trains in the processes that `torch.distributed.run` starts; process 0 prints a digest of the weights.

Arguments: the kind's options as JSON, and the number of processes that share each batch of 48 rows.
"""

import hashlib
import json
import sys

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn

from weightsmith import kinds, optim

options, processes = json.loads(sys.argv[1]), int(sys.argv[2])
if processes > 1:
    dist.init_process_group("gloo")
rank = dist.get_rank() if processes > 1 else 0
digests = []
for each in options:
    torch.manual_seed(0)
    layers = [nn.Linear(16, 16), nn.LayerNorm(16), nn.ReLU(), nn.Linear(16, 16), nn.LayerNorm(16), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Linear(16, 4)).double()
    controller = kinds.binary(model, seed=3, **each)
    wrapped = nn.parallel.DistributedDataParallel(model) if processes > 1 else model
    optimizer = optim.build(model, "adam" if each.get("latent", True) else "bop", 0.02)
    for step in range(12):
        rows = torch.randn(48, 16, generator=torch.Generator().manual_seed(step), dtype=torch.float64)
        labels = rows[:, :4].argmax(1)
        mine = slice(rank * 48 // processes, (rank + 1) * 48 // processes)
        optimizer.zero_grad()
        F.cross_entropy(wrapped(rows[mine]), labels[mine]).backward()
        optimizer.step()
        controller.step((step + 1) / 12)
    # rounded: processes add gradients up in another order
    state = {
        name: [round(x, 8) + 0.0 for x in value.double().flatten().tolist()]
        for name, value in model.state_dict().items()
    }
    digests.append(hashlib.sha256(json.dumps(state).encode()).hexdigest())
    if processes > 1:
        gathered = [None] * processes
        dist.all_gather_object(gathered, digests[-1])
        assert len(set(gathered)) == 1
if rank == 0:
    sys.stdout.write(f"digests {json.dumps(digests)}\n")
if processes > 1:
    dist.destroy_process_group()
