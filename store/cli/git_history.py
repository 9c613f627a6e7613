"""A repository's history as git tells it, for the demo.

Laws: git is asked in a fixed voice (locale, diff and log settings of the user do not matter) and its answer is read by
fixed separators, so that no name, address or subject can pose as another field. What is not UTF-8 becomes U+FFFD.
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from store.errors import ConfigError

SUBJECT_SIZE_MAX: Final = 1_000
"""Characters of a subject that are kept: some histories hold a whole file in one line."""
CHUNK_SIZE: Final = 1 << 16
FIELDS: Final = ("%H", "%P", "%an", "%ae", "%at", "%ct", "%s")
FORMAT: Final = "tformat:%x00" + "%x00".join(FIELDS) + "%x00"
FIELDS_COUNT: Final = len(FIELDS) + 1
"""The format's fields, and what git prints behind them: the short statistics."""

_EPOCH_START: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC, microsecond=0)
_STATISTICS: Final = re.compile(rb"(\d+) files? changed(?:, (\d+) insertions?\(\+\))?(?:, (\d+) deletions?\(-\))?")
_CREDENTIALS: Final = re.compile(r"(?<=://)[^/]*@")


@dataclass(frozen=True)
class GitCommit:
    """One commit as git tells it; `parents` are parted by spaces."""

    sha: str
    parents: str
    name: str
    email: str
    authored: datetime
    committed: datetime
    subject: str
    changes: tuple[int, int, int]
    """Files, insertions, deletions; zeros for a merge, and where a shallow clone hides what came before."""


@dataclass(frozen=True)
class GitRepository:
    """A repository with at least one commit."""

    path: Path
    url: str
    """Where it was cloned from, without credentials, or "" where git knows of no remote."""
    branch: str
    """The branch that is checked out, or "HEAD" where none is."""
    commits: int
    """Commits that can be reached from HEAD."""
    boundary: frozenset[str]
    """Where a shallow clone ends: these commits' parents are missing. Empty for a whole history."""


def open_repository(path: Path) -> GitRepository:
    """Look at a repository, or at the one that a folder is inside of. ConfigError says what is missing."""
    if not path.is_dir():
        raise ConfigError(f"{path} is no folder", hint="Name a folder inside a git repository with --repository")
    top = _ask(path, "rev-parse", "--git-dir")
    if top is None:
        raise ConfigError(f"{path.resolve()} is not inside a git repository git can read", hint=_why(path))
    if _ask(path, "rev-parse", "--verify", "--quiet", "HEAD^{commit}") is None:
        raise ConfigError(f"the git repository at {path.resolve()} has no commits yet", hint="Commit something first")
    return GitRepository(
        path=path,
        url=_CREDENTIALS.sub("", _ask(path, "config", "--get", "remote.origin.url") or ""),
        branch=_ask(path, "rev-parse", "--abbrev-ref", "HEAD") or "HEAD",
        commits=int(_ask(path, "rev-list", "--count", "HEAD") or 0),
        boundary=_boundary(path),
    )


def read_commits(repository: GitRepository, *, count_max: int) -> Generator[GitCommit, None, None]:
    """The newest commits, newest first, while git is still finding the older ones. ConfigError if git fails midway."""
    command = _command(
        repository.path,
        *("-c", "log.showSignature=false", "-c", "core.quotePath=true", "-c", "i18n.logOutputEncoding=UTF-8"),
        *("log", f"--max-count={count_max}", f"--format={FORMAT}", "--shortstat", "--no-color", "--no-mailmap"),
        *("--no-ext-diff", "--no-textconv", "--no-renames", "--diff-algorithm=myers", "--no-notes", "--no-decorate"),
        *("--ignore-submodules=none", "HEAD", "--"),
    )
    with (
        tempfile.TemporaryFile() as complaints,  # A pipe nobody empties could hold git up.
        subprocess.Popen(  # noqa: S603  # The command is ours; only its folder is the user's.
            command, bufsize=0, stdout=subprocess.PIPE, stderr=complaints, env=_environment()
        ) as git,
    ):
        assert git.stdout is not None
        try:
            for fields in _read_fields(git.stdout.read, FIELDS_COUNT):
                yield _read_commit(repository, fields)
            if git.wait() != 0:
                complaints.seek(0)
                complaint = complaints.read(500).decode(errors="replace").strip()
                raise ConfigError(f"git log failed in {repository.path.resolve()}: {complaint}")
        finally:
            git.kill()  # Whoever stops reading early leaves no git behind.


def _read_fields(read: Callable[[int], bytes], count: int) -> Iterator[list[bytes]]:
    """Groups of `count` fields, each group led by NUL and its fields parted by NUL, however the bytes arrive."""
    rest: bytes | None = None
    fields: list[bytes] = []
    while chunk := read(CHUNK_SIZE):
        *whole, rest = ((rest or b"") + chunk).split(b"\0")
        fields += whole
        while len(fields) > count:
            yield fields[1 : count + 1]  # The first of all is what stands before the first NUL: nothing.
            del fields[:count]
    if rest is not None:
        fields.append(rest)
    if len(fields) > count:
        yield fields[1 : count + 1]


def _read_commit(repository: GitRepository, fields: Sequence[bytes]) -> GitCommit:
    sha, parents, name, email, authored, committed, subject = (each.decode(errors="replace") for each in fields[:-1])
    cut = sha in repository.boundary
    return GitCommit(
        sha=sha,
        parents=_true_parents(repository.path, sha) if cut else parents,
        name=name,
        email=email,
        authored=_read_time(authored),
        committed=_read_time(committed),
        subject=subject[:SUBJECT_SIZE_MAX],
        changes=(0, 0, 0) if cut else _read_statistics(fields[-1]),
    )


def _read_time(seconds: str) -> datetime:
    """A commit's time; what no calendar holds is its nearest end, and what cannot be read is 1970."""
    try:
        return _EPOCH_START + timedelta(seconds=int(seconds))
    except ValueError:
        return _EPOCH_START
    except OverflowError:
        return _FIRST if seconds.startswith("-") else _LAST


def _read_statistics(text: bytes) -> tuple[int, int, int]:
    match = _STATISTICS.search(text)
    return (int(match[1]), int(match[2] or 0), int(match[3] or 0)) if match else (0, 0, 0)


def _boundary(path: Path) -> frozenset[str]:
    """The commits at which a shallow clone was cut off."""
    name = _ask(path, "rev-parse", "--git-path", "shallow")
    if not name or not (path / name).is_file():
        return frozenset()
    return frozenset((path / name).read_text(encoding="ascii", errors="replace").split())


def _true_parents(path: Path, sha: str) -> str:
    """The parents a commit names itself: at a shallow clone's end git log shows none."""
    header = (_ask(path, "cat-file", "commit", sha) or "").partition("\n\n")[0]
    return " ".join(line.removeprefix("parent ") for line in header.split("\n") if line.startswith("parent "))


def _ask(path: Path, *arguments: str) -> str | None:
    """What git answers, or None where it says no. ConfigError where there is no git."""
    said = _run(path, *arguments)
    return said.stdout.decode(errors="replace").removesuffix("\n") if said.returncode == 0 else None


def _why(path: Path) -> str:
    """What git itself says against a folder."""
    return _run(path, "rev-parse", "--git-dir").stderr.decode(errors="replace").strip()[:500]


def _run(path: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(  # noqa: S603  # The command is ours; only its folder is the user's.
            _command(path, *arguments), capture_output=True, check=False, env=_environment(), stdin=subprocess.DEVNULL
        )
    except FileNotFoundError:
        raise ConfigError(
            "git is not installed, or not on the PATH", hint="Install git: the demo reads its log"
        ) from None


def _command(path: Path, *arguments: str) -> list[str]:
    return ["git", "--no-pager", "--no-replace-objects", "-C", os.fspath(path), *arguments]


def _environment() -> dict[str, str]:
    """The user's environment, in English, and pointed at no other repository."""
    kept = {name: value for name, value in os.environ.items() if name not in _POINTERS}
    return {**kept, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}


_POINTERS: Final = frozenset(
    {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_NAMESPACE"}
)
