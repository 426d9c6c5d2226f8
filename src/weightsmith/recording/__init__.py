"""Watching any training loop within a share of its time."""

from weightsmith.recording.budget import RecorderCost
from weightsmith.recording.environment import environment
from weightsmith.recording.record import record
from weightsmith.recording.recorder import Recorder

__all__ = ["Recorder", "RecorderCost", "environment", "record"]
