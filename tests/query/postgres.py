"""A PostgreSQL of the tests' own, to hold the evaluator to: on a socket in a directory, without a network."""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final, Self

from bench.peers.postgres import USER, binaries

INSTALL: Final = "apt-get install postgresql"
_OPTIONS: Final = {"fsync": "off", "listen_addresses": "", "max_connections": "4", "shared_buffers": "16MB"}
_END: Final = "-- end of the answer --"
_SETUP: Final = """
SET timezone = 'UTC'; SET client_min_messages = error; SET bytea_output = 'hex';
CREATE FUNCTION evaluate(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
    EXECUTE query INTO result;
    RETURN 'ok ' || coalesce(encode(convert_to(result, 'UTF8'), 'hex'), 'none');
EXCEPTION WHEN others THEN
    RETURN 'error ' || SQLSTATE || ' ' || replace(SQLERRM, chr(10), ' ');
END $$;
"""


def installed() -> bool:
    """Whether its programs are here, and somebody may run them."""
    return binaries() != Path() and (os.geteuid() != 0 or _user() is not None)


class PostgresError(Exception):
    """PostgreSQL says no; its SQLSTATE and message."""


class Postgres:
    """A cluster, and one session in it."""

    def __enter__(self) -> Self:
        self._directory = Path(tempfile.mkdtemp(prefix="store-postgres-"))
        user = _user() if os.geteuid() == 0 else None
        if user is not None:
            os.chown(self._directory, user.pw_uid, user.pw_gid)
        self._server: subprocess.Popen[bytes] | None = None
        self._session: subprocess.Popen[str] | None = None
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in (self._session, self._server):
            if process is not None:
                process.terminate()
                process.wait(timeout=60)
                for stream in (process.stdin, process.stdout):
                    if stream is not None:
                        stream.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def run(self, sql: str) -> list[str]:
        """Run statements and return the lines of their answers. PostgresError where one of them fails."""
        session = self._session
        assert session is not None
        assert session.stdin is not None
        assert session.stdout is not None
        session.stdin.write(f"{sql}\n;\n\\echo '{_END}'\n")
        session.stdin.flush()
        lines: list[str] = []
        while (line := session.stdout.readline()).rstrip("\n") != _END:
            if not line:
                raise PostgresError("\n".join(lines))
            lines.append(line.rstrip("\n"))
        return lines

    def value(self, query: str) -> str | None:
        """The one text that a query gives. PostgresError where it fails."""
        (line,) = self.run(f"SELECT evaluate($query${query}$query$)")
        what, _, rest = line.partition(" ")
        if what != "ok":
            raise PostgresError(rest)
        return None if rest == "none" else bytes.fromhex(rest).decode()

    def _start(self) -> None:
        programs, data = binaries(), self._directory / "data"
        subprocess.run(
            [*_as_owner(), programs / "initdb", "-D", data, "-A", "trust", "-U", USER, "-E", "UTF8", "--locale=C"],
            check=True, capture_output=True, cwd=self._directory,
        )  # fmt: skip
        options = [word for name, value in _OPTIONS.items() for word in ("-c", f"{name}={value}")]
        self._server = subprocess.Popen(
            [*_as_owner(), programs / "postgres", "-D", data, "-k", self._directory, *options],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self._directory,
        )  # fmt: skip
        for _ in range(600):
            ready = subprocess.run(
                [programs / "pg_isready", "-q", "-h", self._directory, "-U", USER], check=False, cwd=self._directory
            )
            if ready.returncode == 0:
                break
            time.sleep(0.05)
        self._session = subprocess.Popen(
            [programs / "psql", "-h", self._directory, "-U", USER, "-d", "postgres", "-qAtX", "-v", "ON_ERROR_STOP=1"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=self._directory,
            env={**os.environ, "PGCLIENTENCODING": "UTF8", "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
        self.run(_SETUP)


def _as_owner() -> list[str]:
    """It refuses to run as root, so root runs it as the user its package made."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups"]


def _user() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(USER)
    except KeyError:
        return None
