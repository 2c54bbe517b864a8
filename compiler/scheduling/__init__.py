"""Placement and scheduling, one stage with two results: a cycle for every burst and an address for every word."""

from compiler.scheduling.effort import EFFORTS, search
from compiler.scheduling.scheduler import Placement, Schedule, schedule

__all__ = ["EFFORTS", "Placement", "Schedule", "schedule", "search"]
