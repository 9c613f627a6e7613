"""The PostgreSQL that queries are held to."""

import os
from collections.abc import Iterator

import pytest

from tests.query.postgres import INSTALL, Postgres, installed


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running PostgreSQL; without one the test is skipped, and in CI it fails."""
    if not installed():
        if os.environ.get("CI") == "true":
            pytest.fail(f"PostgreSQL is not installed: {INSTALL}")
        pytest.skip(f"PostgreSQL is not installed: {INSTALL}")
    with Postgres() as running:
        yield running
