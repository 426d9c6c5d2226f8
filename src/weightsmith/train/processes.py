"""What the processes of one training tell each other. With one process, nothing happens here.

Every process makes the same calls in the same order; whatever decides the order (an interrupt, a NaN, the clock of
process 0, a checkpoint that is due) is agreed on first, so that none waits for another that has stopped.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed
from torch import nn


@dataclass(frozen=True)
class Processes:
    """The group this process belongs to.

    Attributes:
        rank: number of this process, from 0; process 0 alone records, writes and keeps the time.
        count: number of processes.
        device: where tensors must be to be exchanged.
    """

    rank: int
    count: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this is process 0."""
        return self.rank == 0

    def sum(self, values: list[float]) -> list[float]:
        """Sums over all processes, in float64."""
        if self.count == 1:
            return values
        shared = torch.tensor(values, dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(shared)
        return shared.tolist()

    def lead(self, values: list[float]) -> list[float]:
        """The values of process 0, on every process."""
        return values if self.count == 1 else self.sum([value * self.leads for value in values])

    def gather(self, state: Any) -> list[Any]:
        """What each process gives, by rank."""
        if self.count == 1:
            return [state]
        gathered = [None] * self.count
        torch.distributed.all_gather_object(gathered, state)
        return gathered

    def share_buffers(self, module: nn.Module) -> None:
        """Give every process the buffers of process 0: batch norm's running statistics saw its own rows only."""
        if self.count > 1:
            for buffer in module.buffers():
                torch.distributed.broadcast(buffer.data, 0)
