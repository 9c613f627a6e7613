"""The case of calls: what becomes of its promises where peers are missing."""

from bench.cases import call
from bench.cases.call import BATCHED, NAMED, POSTGRES_FACTOR, STORE_SHAPES, Shape, Turns
from bench.load import Measured
from bench.results import Result
from bench.workload import KEYS

PEERS = ("redis 64x40", "redis 64x1", "postgresql 64x1")


def ratios(shape: Shape, *peers: str) -> list[Result]:
    """What is said of a shape when the store and these peers were measured at the same rate."""
    turns = Turns()
    for name in (f"store {shape.name}", *peers):
        turns.note(f"{name}, {KEYS[0]}", Measured(calls=100, refused=0, seconds=1.0))
    return list(call._ratios(turns, shape, KEYS[0]))


def promised(results: list[Result]) -> list[str]:
    """The targets, whether measured or not."""
    return [each.target for each in results if each.target]


def test_a_promise_does_not_go_with_its_peer() -> None:
    """Whatever is promised beside peers is promised without them, too, and then does not hold."""
    for shape in STORE_SHAPES:
        absent = ratios(shape)
        assert promised(absent) == promised(ratios(shape, *PEERS))
        assert {each.holds for each in absent if each.target} <= {False}
        assert absent[0] == Result("call", f"store {shape.name}, {KEYS[0]}", 100.0, "calls/s")


def test_each_missing_peer_is_named() -> None:
    """A promise that lacks its peer names it; one whose peer is here is measured."""
    redis, postgres = ratios(BATCHED, PEERS[0])
    assert (redis.ratio, redis.holds) == (1.0, True)
    assert "postgresql 64x1" in postgres.metric
    assert (postgres.target, postgres.holds) == (f">= {POSTGRES_FACTOR:g} x", False)


def test_no_promise_needs_no_peer() -> None:
    """A shape that nothing is promised of lacks nothing."""
    assert promised(ratios(NAMED)) == []
