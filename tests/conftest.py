"""What is started once for all tests, when the first one asks for it."""

from collections.abc import Iterator

import pytest

from tests.env.localstack_server import localstack_server
from tests.env.rgw_server import require_rgw, rgw_server


@pytest.fixture(name="rgw", scope="session")
def _rgw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Ceph's S3 server, which keeps locks; its URL."""
    require_rgw()
    with rgw_server(tmp_path_factory.mktemp("rgw")) as url:
        yield url


@pytest.fixture(name="localstack", scope="session")
def _localstack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """LocalStack's S3 server, which keeps locks, too; its URL."""
    with localstack_server(tmp_path_factory.mktemp("localstack")) as url:
        yield url
