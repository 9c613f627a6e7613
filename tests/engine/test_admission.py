"""Whether calls are taken: by reason, and counted."""

import pytest

from store.engine.admission import Admission
from store.errors import Overloaded


def test_calls_are_taken_while_there_is_no_reason_against_them() -> None:
    """At first there is none."""
    admission = Admission()
    admission.check()
    assert admission.reasons == {}


def test_a_reason_is_told_and_counted_until_it_is_gone() -> None:
    """The error carries its message, and its name in the details."""
    admission = Admission()
    admission.close("disk", "the disk is full")
    for _ in range(3):
        with pytest.raises(Overloaded, match="the disk is full") as refused:
            admission.check()
        assert refused.value.details == {"reason": "disk"}
    admission.open("disk")
    admission.check()
    assert admission.refused == {"disk": 3}


def test_every_reason_has_to_go() -> None:
    """Opening for one reason, or for one that never was, does not open for another."""
    admission = Admission()
    admission.close("disk", "full")
    admission.close("clock", "jumped")
    admission.open("disk")
    admission.open("never")
    with pytest.raises(Overloaded, match="jumped"):
        admission.check()
