"""Tenants that end with their test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.end_to_end.tenant import Tenant


@pytest.fixture
def make_tenant(tmp_path: Path) -> Iterator[Callable[..., Tenant]]:
    """Makes tenants by name; those still running are killed in the end."""
    made: list[Tenant] = []

    def make(name: str, *options: str) -> Tenant:
        made.append(Tenant(tmp_path / name, *options))
        return made[-1]

    yield make
    for tenant in made:
        tenant.close()
