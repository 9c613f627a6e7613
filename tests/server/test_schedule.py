"""A schedule: again and again, sooner after a failure, never twice at once."""

from store.server.schedule import Schedule


def test_a_schedule_tries_sooner_after_a_failure_and_later_after_many() -> None:
    """Never sooner than a minute, never later than its interval; and never twice at once."""
    schedule = Schedule(1_000.0, 60.0, 0.0)
    assert not schedule.due(59.0)
    assert schedule.due(60.0)
    assert not schedule.due(61.0)
    now = 60.0
    for pause in (60.0, 120.0, 240.0, 480.0, 960.0, 1_000.0, 1_000.0):
        schedule.done(now, ok=False)
        assert not schedule.due(now + pause - 1)
        now += pause
        assert schedule.due(now)
    schedule.done(now, ok=True)
    assert not schedule.due(now + 999)
    assert schedule.due(now + 1_000)
    assert not Schedule(0.0, 60.0, 0.0).due(1e9)
