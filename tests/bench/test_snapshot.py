"""The case of snapshots: which calls count as quiet, and whose memory is watched."""

import os

import pytest

from bench.cases.snapshot import QUIET_S, SETTLED_S, Peak, _calls, _split
from bench.load import Measured
from bench.machine import children, peak_bytes
from bench.peers import BenchError


def measured(*samples: tuple[float, float]) -> Measured:
    """A load's samples: (due, took)."""
    return Measured(calls=len(samples), refused=0, seconds=1.0, samples=list(samples))


def test_quiet_is_before_and_well_after() -> None:
    """What was due while a snapshot was taken counts for it; the beginning and the moment after it for nothing."""
    began, ended = QUIET_S, QUIET_S + 2
    load = measured((0.0, 9.0), (1.0, 0.1), (began, 0.2), (ended, 0.3), (ended + SETTLED_S / 2, 9.0), (ended + 1, 0.4))
    assert _split(load, began, ended) == ([0.1, 0.4], [0.2, 0.3])


def test_a_load_that_ends_too_soon_is_no_measurement() -> None:
    """Where no call was due while the snapshot was taken, there is no number."""
    with pytest.raises(BenchError):
        _split(measured((0.0, 0.1), (1.0, 0.1)), 5.0, 6.0)


def test_calls_fill_every_connection() -> None:
    """64 connections send whole frames of 40."""
    assert [_calls(count) for count in (0.0, 5_119.9, 5_120.0)] == [2_560, 2_560, 5_120]


def test_memory_is_the_most_that_was_seen() -> None:
    """A watched process's peak stays when it is gone; a process that is not there holds nothing."""
    with Peak(lambda: [os.getpid()]) as watch:
        watch._done.wait(0.2)
    assert watch.bytes >= 1 << 20
    assert peak_bytes(2**30) == 0
    assert os.getpid() not in children(os.getpid())
