"""How weights move: optimizers by name, exact proximal steps, learning-rate schedules and gradient clipping."""

from weightsmith.optim.bop import Bop, BopWithAdam
from weightsmith.optim.build import build
from weightsmith.optim.catalog import ALIASES, OPTIMIZERS, OptimizerInfo
from weightsmith.optim.clipping import clip_by_norm, clip_by_value
from weightsmith.optim.groups import parameter_groups
from weightsmith.optim.muon import MuonWithAdamW
from weightsmith.optim.proximal import Proximal
from weightsmith.optim.schedules import SCHEDULES, Schedule, ScheduleInfo, build_schedule

__all__ = [
    "ALIASES",
    "OPTIMIZERS",
    "SCHEDULES",
    "Bop",
    "BopWithAdam",
    "MuonWithAdamW",
    "OptimizerInfo",
    "Proximal",
    "Schedule",
    "ScheduleInfo",
    "build",
    "build_schedule",
    "clip_by_norm",
    "clip_by_value",
    "parameter_groups",
]
