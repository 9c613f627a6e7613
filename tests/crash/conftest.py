"""The same tenants as end to end, and a nursery that all tests share."""

from collections.abc import Iterator

import pytest

from tests.crash.nursery import Nursery
from tests.end_to_end.conftest import make_tenant

__all__ = ["make_tenant", "nursery"]


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Where processes come from that are to be killed."""
    with Nursery() as nursery:
        yield nursery
