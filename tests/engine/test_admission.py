"""Whether calls are taken: by reason, and counted."""

import pytest

from store.engine.admission import Admission
from store.engine.options import EngineOptions
from store.errors import Overloaded
from store.values import encode
from tests.engine.scenes import a_caller, open_shop


def test_calls_are_taken_while_there_is_no_reason_against_them() -> None:
    """At first there is none."""
    admission = Admission(1 << 20)
    admission.check(0)
    assert admission.reasons == {}


def test_a_reason_is_told_and_counted_until_it_is_gone() -> None:
    """The error carries its message, and its name in the details."""
    admission = Admission(1 << 20)
    admission.close("disk", "the disk is full")
    for _ in range(3):
        with pytest.raises(Overloaded, match="the disk is full") as refused:
            admission.check(0)
        assert refused.value.details == {"reason": "disk"}
    admission.open("disk")
    admission.check(0)
    assert admission.refused == {"disk": 3}


def test_every_reason_has_to_go() -> None:
    """Opening for one reason, or for one that never was, does not open for another."""
    admission = Admission(1 << 20)
    admission.close("disk", "full")
    admission.close("clock", "jumped")
    admission.open("disk")
    admission.open("never")
    with pytest.raises(Overloaded, match="jumped"):
        admission.check(0)


def test_what_waits_for_one_sync_is_bounded() -> None:
    """Past the allowance calls are refused, nothing is recorded, and after the sync they are taken again."""
    engine = open_shop(options=EngineOptions(group_size_max=10_000))
    caller = a_caller()
    while not engine.write_path.is_full:
        assert engine.write_path.call(caller, "put", encode(["note", bytes(1_000)])).outcome == ""
    last = engine.write_path.last_offset
    with pytest.raises(Overloaded, match="at most 10000 may") as caught:
        engine.write_path.call(caller, "put", encode(["note", b""]))
    assert (caught.value.details, engine.write_path.last_offset) == ({"reason": "group"}, last)
    engine.group_commit.commit()
    assert engine.write_path.call(caller, "put", encode(["again", b""])).outcome == ""
