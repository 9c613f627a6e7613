"""The snapshot policy: each reason by itself, never two at once, longer and longer pauses after failures."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.engine.snapshot_policy import (
    BYTES,
    DISK,
    DISK_PAUSE_S,
    INTERVAL,
    PRUNE_PAUSE_MIN_S,
    REPLAY_RATE,
    RESTART,
    RETENTION,
    RETRY_MAX_S,
    RETRY_MIN_S,
    TRANSACTIONS,
    Situation,
    SnapshotPolicy,
    SnapshotRequest,
)
from store.ids import Offset, Timestamp
from store.snapshot.options import SnapshotOptions

OPTIONS = SnapshotOptions(bytes_between=1_000, transactions_between=100, interval_s=3_600, restart_time_max_s=0)
NEVER = replace(OPTIONS, bytes_between=0, transactions_between=0, interval_s=0, restart_time_max_s=0)
SPACE_MIN = 500
NOTHING = SnapshotRequest("", take=True)
STEPS = ("write", "wait", "took", "failed", "pruned", "ask", "low", "roomy")


@dataclass
class Life:
    """A store's life as a policy sees it."""

    options: SnapshotOptions = OPTIONS
    now: float = 1_000.0
    last_offset: int = 0
    log_bytes: int = 0
    rows: int = 0
    free_bytes: int = 1 << 40
    disk_low: bool = False
    policy: SnapshotPolicy = field(init=False)

    def __post_init__(self) -> None:
        self.policy = SnapshotPolicy(self.options, now=self.now, space_min=SPACE_MIN)

    @property
    def situation(self) -> Situation:
        """As it stands."""
        return Situation(
            now=self.now,
            last_offset=Offset(self.last_offset),
            log_bytes=self.log_bytes,
            rows=self.rows,
            free_bytes=self.free_bytes,
            disk_low=self.disk_low,
        )

    def write(self, transactions: int = 1, size: int = 1) -> None:
        """Transactions, and so many bytes in all."""
        self.last_offset += transactions
        self.log_bytes += size

    def look(self) -> str:
        """Why something is due now; "" for nothing."""
        request = self.policy.look(self.situation)
        return "" if request is None else request.reason

    def took(self, offset: int | None = None, **more: Any) -> None:
        """What was requested came to be."""
        self.policy.took(Offset(self.last_offset if offset is None else offset), now=self.now, **more)


def test_nothing_is_due_while_nothing_has_changed() -> None:
    """However long that lasts."""
    life = Life()
    life.now += 1_000_000
    assert life.look() == ""


@pytest.mark.parametrize(
    ("transactions", "size", "seconds", "reason"),
    [
        (99, 999, 3_599, ""),
        (1, 1_000, 0, BYTES),
        (100, 1, 0, TRANSACTIONS),
        (1, 1, 3_600, INTERVAL),
    ],
)
def test_each_bound_makes_one_due(transactions: int, size: int, seconds: int, reason: str) -> None:
    """At the bound, not before; and once it is taken the count begins anew."""
    life = Life()
    life.write(transactions, size)
    life.now += seconds
    assert life.look() == reason
    if reason:
        life.took()
        assert life.look() == ""
        life.write(transactions, size)
        life.now += seconds
        assert life.look() == reason


def test_a_bound_of_zero_is_none() -> None:
    """Then only those who ask get one."""
    life = Life(NEVER)
    life.write(10**9, 10**12)
    life.now += 10**9
    assert life.look() == ""
    life.policy.ask("by hand")
    assert life.look() == "by hand"


def test_what_is_written_while_one_is_taken_counts_for_the_next() -> None:
    """Bytes from when it was requested, transactions from its offset."""
    life = Life()
    life.write(100, 600)
    assert life.look() == TRANSACTIONS
    life.write(60, 999)
    life.took(100)
    assert life.look() == ""
    life.write(1, 1)
    assert life.look() == BYTES


def test_never_two_at_once() -> None:
    """Until the first has been answered, whatever is due or asked for; then what was asked for comes."""
    life = Life()
    life.write(100)
    assert life.look() == TRANSACTIONS
    life.policy.ask("by hand")
    life.write(100)
    assert life.look() == ""
    assert life.policy.running == SnapshotRequest(TRANSACTIONS, take=True)
    life.took()
    assert life.look() == "by hand"
    life.took()
    assert life.look() == ""
    assert life.policy.running is None


def test_a_restart_that_would_take_half_its_bound_makes_one_due() -> None:
    """By the rates that are usual, until this store has measured its own."""
    life = Life(replace(NEVER, restart_time_max_s=10.0))
    life.write(int(REPLAY_RATE * 5))
    assert life.look() == ""
    life.write(1)
    assert life.policy.restart_estimate_s(life.situation) > 5.0
    assert life.look() == RESTART


def test_measured_rates_count_and_the_best_of_them() -> None:
    """One in the background is slowed by others; one of a moment says nothing."""
    life = Life(replace(NEVER, restart_time_max_s=10.0))
    life.policy.measured(transactions=100, replay_s=100.0)
    life.policy.measured(transactions=100_000, replay_s=10.0)
    life.policy.measured(rows=1_000_000, load_s=2.0)
    life.write(10_000)
    life.rows = 500_000
    assert life.policy.restart_estimate_s(life.situation) == 2.0
    life.write(30_001)
    assert life.look() == RESTART
    life.policy.measured(transactions=100_000, replay_s=1.0)
    assert life.policy.restart_estimate_s(life.situation) == pytest.approx(1.4, abs=0.01)


def test_where_loading_alone_breaks_the_bound_replay_still_has_a_share() -> None:
    """No snapshot makes loading shorter: one after the other would help nobody."""
    life = Life(replace(NEVER, restart_time_max_s=10.0))
    life.rows = 100_000_000
    life.write(int(REPLAY_RATE))
    assert life.look() == ""
    life.write(1)
    assert life.look() == RESTART


def test_own_records_alone_are_no_change() -> None:
    """A quiet store does not snapshot the record of its last snapshot."""
    life = Life()
    life.write()
    life.now += 3_600
    assert life.look() == INTERVAL
    life.took()
    for _ in range(3):
        life.write()
        life.policy.recorded(Offset(life.last_offset))
        life.now += 10_000
        assert life.look() == ""
    life.write()
    assert life.look() == INTERVAL
    life.took()
    life.write()
    assert life.look() == ""
    life.now += 3_600
    assert life.look() == INTERVAL


def test_after_a_failure_it_waits_longer_and_longer() -> None:
    """Twice as long each time, up to a bound; it says why; and a success begins anew."""
    life = Life()
    life.write(100)
    pause = RETRY_MIN_S
    for failures in range(1, 12):
        assert life.look() == TRANSACTIONS
        life.policy.failed("no space", now=life.now)
        assert (life.policy.failures, life.policy.problem) == (failures, "no space")
        assert life.policy.retry_at - life.now == pause
        life.now += pause - 1
        assert life.look() == ""
        life.now += 1
        pause = min(2 * pause, RETRY_MAX_S)
    assert pause == RETRY_MAX_S
    assert life.look() == TRANSACTIONS
    life.took()
    assert (life.policy.failures, life.policy.problem) == (0, "")
    life.write(100)
    assert life.look() == TRANSACTIONS


def test_one_that_is_no_newer_than_the_last_is_not_tried_again_at_once() -> None:
    """Nothing behind it is proven durable yet, so the next would be the same."""
    life = Life()
    life.write(100)
    life.look()
    life.took(50)
    life.write(100)
    assert life.look() == TRANSACTIONS
    life.took(50)
    assert (life.look(), life.policy.failures) == ("", 0)
    life.now += RETRY_MIN_S
    assert life.look() == TRANSACTIONS


def test_who_asks_by_hand_does_not_wait_for_a_pause_to_end() -> None:
    """But one that failed is not tried again by itself for their sake."""
    life = Life()
    life.write(100)
    life.look()
    life.policy.failed("no space", now=life.now)
    life.policy.ask("by hand")
    assert life.look() == "by hand"
    life.policy.failed("no space", now=life.now)
    assert life.look() == ""


def test_what_waits_for_its_grace_is_let_go_when_that_has_passed() -> None:
    """A request that takes nothing; not more often than once a minute."""
    life = Life(NEVER)
    life.policy.ask("by hand")
    life.look()
    life.policy.pruned(now=life.now, wall=Timestamp(5_000_000), due=Timestamp(5_000_000 + 100_000_000))
    life.took()
    life.now += 99
    assert life.look() == ""
    life.now += 1
    assert life.policy.look(life.situation) == SnapshotRequest(RETENTION, take=False)
    life.policy.pruned(now=life.now, wall=Timestamp(105_000_000), due=Timestamp(0))
    assert life.policy.running is None
    assert life.look() == ""
    life.now += PRUNE_PAUSE_MIN_S
    assert life.look() == RETENTION
    life.policy.pruned(now=life.now, wall=Timestamp(0), due=None)
    life.now += 10**6
    assert life.look() == ""


def test_a_nearly_full_disk_makes_letting_go_due() -> None:
    """With a snapshot, which lets more go, where that surely has room; and again after a pause, not all the time."""
    life = Life(NEVER)
    life.write(10, 100)
    life.disk_low, life.free_bytes = True, SPACE_MIN + 99
    assert life.policy.look(life.situation) == SnapshotRequest(DISK, take=False)
    life.policy.pruned(now=life.now, wall=Timestamp(0), due=None)
    life.free_bytes += 1
    assert life.look() == ""
    life.now += DISK_PAUSE_S
    assert life.policy.look(life.situation) == SnapshotRequest(DISK, take=True)
    life.took(size=1_000)
    life.write(1, 1)
    life.now += DISK_PAUSE_S
    assert life.policy.look(life.situation) == SnapshotRequest(DISK, take=False)


def test_on_a_nearly_full_disk_no_other_reason_counts() -> None:
    """The last bytes are for the store's own records; but who asks by hand knows what they do."""
    life = Life()
    life.write(1_000, 100_000)
    life.disk_low, life.free_bytes = True, SPACE_MIN
    assert life.policy.look(life.situation) == SnapshotRequest(DISK, take=False)
    life.policy.failed("locked", now=life.now)
    life.policy.ask("by hand")
    assert life.policy.look(life.situation) == SnapshotRequest("by hand", take=True)


def test_a_start_goes_on_where_the_last_run_ended() -> None:
    """By the newest snapshot's offset, its age, and the log behind it."""
    life = Life()
    life.last_offset, life.log_bytes = 1_099, 50
    life.policy.begin(life.situation, newest=Offset(1_000), age_s=3_000.0, log_bytes=900, size=10)
    assert life.look() == ""
    life.write(0, 100)
    assert life.look() == BYTES
    life.took()
    life = Life()
    life.last_offset = 1_050
    life.policy.begin(life.situation, newest=Offset(1_000), age_s=3_000.0, log_bytes=0)
    life.now += 599
    assert life.look() == ""
    life.now += 1
    assert life.look() == INTERVAL


def test_a_snapshot_from_the_future_is_of_age_zero() -> None:
    """The clock was set back since; the interval begins now."""
    life = Life()
    life.last_offset = 10
    life.policy.begin(life.situation, newest=Offset(5), age_s=-1e9, log_bytes=0)
    life.now += 3_600
    assert life.look() == INTERVAL


@settings(max_examples=200, deadline=None, derandomize=True)
@given(steps=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 400)), max_size=60))
def test_whatever_happens_one_request_is_answered_before_the_next(steps: list[tuple[str, int]]) -> None:
    """And after a failure none comes by itself before its pause has passed."""
    life = Life(replace(OPTIONS, restart_time_max_s=10.0))
    failed_at: float | None = None
    for step, number in steps:
        failures = life.policy.failures
        go(life, step, number)
        if life.policy.failures != failures:
            failed_at = life.now if life.policy.failures else None
        before = life.policy.running
        request = life.policy.look(life.situation)
        assert request is None or before is None
        if request is not None and failed_at is not None and request.reason != "by hand":
            assert life.now - failed_at >= RETRY_MIN_S
        assert (life.policy.running is not None) == (request is not None or before is not None)


def go(life: Life, step: str, number: int) -> None:
    """One step of a life; an answer only where something runs that it can be the answer to."""
    running = life.policy.running
    if step == "write":
        life.write(number, 10 * number)
    elif step == "wait":
        life.now += number
    elif step == "ask":
        life.policy.ask("by hand")
    elif step in {"low", "roomy"}:
        life.disk_low, life.free_bytes = step == "low", number * 10
    elif step == "took" and running == replace(running or NOTHING, take=True):
        life.took()
    elif step == "pruned" and running == replace(running or NOTHING, take=False):
        life.policy.pruned(now=life.now, wall=Timestamp(0), due=Timestamp(number * 1_000_000))
    elif step == "failed" and running is not None:
        life.policy.failed("why", now=life.now)
