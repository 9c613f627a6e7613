"""A tenant that the client's tests share."""

from collections.abc import Iterator

import pytest

from tests.cli.tenant import Tenant, running


@pytest.fixture(scope="package")
def tenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenant]:
    """One real tenant for all tests that do not kill it."""
    with running(tmp_path_factory.mktemp("tenant")) as made:
        yield made
