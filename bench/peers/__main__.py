"""python -m bench.peers: installs the peers from Debian's packages, or says the command where it may not.

Laws: nothing is started as a service; the cases start their own. SQLite comes with Python.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import Final

from bench.peers import postgres, redis
from bench.peers.postgres import Postgres
from bench.peers.redis import Redis
from bench.peers.sqlite import Sqlite
from bench.peers.sqlite import version as sqlite_version
from bench.results import MISSING, Result, missing

PACKAGES: Final = ("redis-server", "postgresql", "postgresql-contrib")
COMMAND: Final = f"apt-get update && apt-get install --no-install-recommends --yes {' '.join(PACKAGES)}"
_VERSIONS: Final[dict[str, Callable[[], str]]] = {
    "redis": redis.version,
    "postgresql": postgres.version,
    "sqlite": sqlite_version,
}
_INSTALLED: Final[dict[str, Callable[[], bool]]] = {
    "redis": Redis.installed,
    "postgresql": Postgres.installed,
    "sqlite": Sqlite.installed,
}


def peers() -> list[Result]:
    """Every peer with its version, or named as missing."""
    return [
        Result("machine", name, version(), "peer") if _INSTALLED[name]() else missing("machine", name)
        for name, version in _VERSIONS.items()
    ]


def main() -> int:
    """Install what is missing; the exit code says whether all are here afterwards."""
    if any(peer.unit == MISSING for peer in peers()):
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            print(f"As root, on Debian: {COMMAND}", file=sys.stderr)
            return 1
        # A container has no init to start services; where there is one, they are not wanted either.
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        subprocess.run(["apt-get", "update"], check=True, env=quiet)
        subprocess.run(["apt-get", "install", "--no-install-recommends", "--yes", *PACKAGES], check=True, env=quiet)
    for peer in peers():
        print(peer.value or peer.metric)
    return int(any(peer.unit == MISSING for peer in peers()))


if __name__ == "__main__":
    sys.exit(main())
