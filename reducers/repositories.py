"""Repositories, their commits and authors, and the workspaces in which agents work on them.

Laws: the rows depend on what was imported, never on who imported it when, in which order or how often; so keys are
made from content, counts count rows, and no row holds the moment of its call. A commit's sha covers its facts: the
same sha with other facts is refused. A URL's credentials never reach a row.
"""

import hashlib
import re
import string
from datetime import datetime
from typing import Final, NamedTuple
from urllib.parse import quote

from store.engine.reducer import Context, reducer
from store.schema import Table, column

COMMITS_PER_CALL_MAX: Final = 1_000
"""Commits that one `import_commits` may bring."""
URL_SIZE_MAX: Final = 2_000
NAME_SIZE_MAX: Final = 200


class Repository(Table, name="repositories", public=True):
    """One repository, under the one form of its URL."""

    id: str = column(primary_key=True)
    """The first 16 hexadecimal digits of the SHA-256 of `url`."""
    url: str = column(unique=True)
    name: str
    commits: int = 0


class Commit(Table, name="commits", public=True):
    """One commit of one repository; a fork's commits are rows of their own."""

    id: str = column(primary_key=True)
    """`repository:sha`."""
    repository: str = column(index=True)
    sha: str = column(index=True)
    parents: tuple[str, ...]
    author: str = column(index=True)
    """The key of its row in `authors`."""
    author_name: str
    authored_at: datetime
    committed_at: datetime
    subject: str
    files: int
    insertions: int
    deletions: int


class Author(Table, name="authors", public=True):
    """One author, over all repositories."""

    email: str = column(primary_key=True)
    """Case-folded; an author without an address goes by the name."""
    name: str
    """As the author's last commit says it."""
    commits: int
    first_commit_at: datetime
    last_commit_at: datetime


class Workspace(Table, name="workspaces", public=True):
    """Where one agent works on one repository."""

    id: str = column(primary_key=True)
    """`repository:name`."""
    repository: str = column(index=True)
    name: str
    agent: str = column(index=True)
    """Who opened it; nobody else may move or close it."""
    branch: str
    head: str
    """The sha of the commit it stands on, or "" before the first."""
    state: str = column(index=True)
    """`open` or `closed`."""


@reducer
def register_repository(ctx: Context, url: str) -> str:
    """Note a repository and return its id; the same repository by another spelling has the same id.

    Refuses bad_url. The log keeps arguments as they came: strip credentials before sending them.
    """
    try:
        normal = normalise_url(url)
    except ValueError as error:
        ctx.refuse("bad_url", why=str(error))
    repositories = ctx.table(Repository)
    key = repository_id(normal)
    if key not in repositories:
        repositories.insert(Repository(id=key, url=normal, name=repository_name(normal)))
    return key


@reducer
def import_commits(
    ctx: Context,
    repository: str,
    shas: tuple[str, ...],
    parents: tuple[str, ...],
    names: tuple[str, ...],
    emails: tuple[str, ...],
    authored: tuple[datetime, ...],
    committed: tuple[datetime, ...],
    subjects: tuple[str, ...],
    changes: tuple[int, ...],
) -> int:
    """Import a batch of commits, one list per field, and return how many were new.

    `parents` has each commit's parents parted by spaces, as git prints them; `changes` has three numbers for each
    commit: files, insertions, deletions. Refuses unknown_repository, bad_batch, bad_sha, bad_changes, commit_differs.
    """
    known = ctx.table(Repository).get(repository) or ctx.refuse("unknown_repository", repository=repository)
    columns = (shas, parents, names, emails, authored, committed, subjects, changes[::3], changes[1::3], changes[2::3])
    _check_batch(ctx, len(shas), [*map(len, columns)], changes=len(changes))
    commits = [_read_commit(ctx, repository, Facts(*said)) for said in zip(*columns, strict=True)]
    fresh = [commit for commit in commits if _insert_once(ctx, commit)]
    if fresh:
        ctx.table(Repository).update(known, commits=known.commits + len(fresh))
        _credit_authors(ctx, fresh)
    return len(fresh)


@reducer
def open_workspace(ctx: Context, repository: str, name: str, branch: str, head: str = "") -> str:
    """Open a workspace, or open it again, and return its id.

    Refuses unknown_repository, bad_name, bad_branch, bad_sha, workspace_open, not_yours.
    """
    if repository not in ctx.table(Repository):
        ctx.refuse("unknown_repository", repository=repository)
    if not 0 < len(name) <= NAME_SIZE_MAX or not name.isprintable():
        ctx.refuse("bad_name", name=name[:NAME_SIZE_MAX])
    _check_branch(ctx, branch)
    _check_head(ctx, head)
    workspaces = ctx.table(Workspace)
    key = f"{repository}:{name}"
    agent = _agent(ctx)
    existing = workspaces.get(key)
    if existing is not None and existing.agent != agent:
        ctx.refuse("not_yours", workspace=key, agent=existing.agent)
    if existing is not None and existing.state == "open":
        ctx.refuse("workspace_open", workspace=key)
    workspaces.upsert(
        Workspace(id=key, repository=repository, name=name, agent=agent, branch=branch, head=head, state="open")
    )
    return key


@reducer
def move_workspace(ctx: Context, workspace: str, head: str, branch: str | None = None) -> None:
    """Put an open workspace on another commit, and on another branch if one is named.

    Refuses unknown_workspace, not_yours, workspace_closed, bad_branch, bad_sha.
    """
    mine = _open_workspace_of_sender(ctx, workspace)
    _check_head(ctx, head)
    if branch is not None:
        _check_branch(ctx, branch)
    ctx.table(Workspace).update(mine, head=head, branch=mine.branch if branch is None else branch)


@reducer
def close_workspace(ctx: Context, workspace: str) -> None:
    """Close a workspace; its row stays and tells where it stood. Refuses as `move_workspace`."""
    mine = _open_workspace_of_sender(ctx, workspace)
    ctx.table(Workspace).update(mine, state="closed")


def _check_batch(ctx: Context, commits: int, lengths: list[int], *, changes: int) -> None:
    """Keep a batch within its limit, and its lists at one length."""
    if commits > COMMITS_PER_CALL_MAX:
        ctx.refuse("bad_batch", why=f"{commits} commits, more than {COMMITS_PER_CALL_MAX}")
    if set(lengths) != {commits} or changes != 3 * commits:
        ctx.refuse("bad_batch", why=f"the lists do not fit {commits} shas: {lengths[1:-3]}, and {changes} changes")


def _insert_once(ctx: Context, commit: Commit) -> bool:
    """Insert a commit that is not there yet; False where it is, with the same facts.

    What git measured of it may differ between versions of git and is no fact: the first measurement stays.
    """
    commits = ctx.table(Commit)
    existing = commits.get(commit.id)
    if existing is None:
        commits.insert(commit)
        return True
    if _facts(existing) != _facts(commit):
        ctx.refuse("commit_differs", sha=commit.sha, repository=commit.repository)
    return False


def _credit_authors(ctx: Context, fresh: list[Commit]) -> None:
    """Count new commits to their authors: sums, minima and maxima, so that no order shows."""
    authors = ctx.table(Author)
    by_author: dict[str, list[Commit]] = {}
    for commit in fresh:
        by_author.setdefault(commit.author, []).append(commit)
    for email, theirs in by_author.items():
        first = min(each.authored_at for each in theirs)
        last, name = max((each.authored_at, each.author_name) for each in theirs)
        known = authors.get(email)
        if known is None:
            authors.insert(
                Author(email=email, name=name, commits=len(theirs), first_commit_at=first, last_commit_at=last)
            )
            continue
        last, name = max((last, name), (known.last_commit_at, known.name))
        authors.update(
            known,
            name=name,
            commits=known.commits + len(theirs),
            first_commit_at=min(first, known.first_commit_at),
            last_commit_at=last,
        )


class Facts(NamedTuple):
    """What a caller says of one commit, unread."""

    sha: str
    parents: str
    name: str
    email: str
    authored: datetime
    committed: datetime
    subject: str
    files: int
    insertions: int
    deletions: int


def _read_commit(ctx: Context, repository: str, said: Facts) -> Commit:
    """One commit from what a caller says of it."""
    parents = tuple(said.parents.split())
    for sha in (said.sha, *parents):
        if not is_sha(sha):
            ctx.refuse("bad_sha", sha=sha[:80], commit=said.sha[:80])
    if min(said.files, said.insertions, said.deletions) < 0:
        ctx.refuse("bad_changes", commit=said.sha, why="a count is below zero")
    return Commit(
        id=f"{repository}:{said.sha}",
        repository=repository,
        sha=said.sha,
        parents=parents,
        author=author_key(said.email, said.name),
        author_name=said.name,
        authored_at=said.authored,
        committed_at=said.committed,
        subject=said.subject,
        files=said.files,
        insertions=said.insertions,
        deletions=said.deletions,
    )


def _facts(commit: Commit) -> tuple[object, ...]:
    """The columns that a commit's sha covers."""
    return (
        commit.parents,
        commit.author,
        commit.author_name,
        commit.authored_at,
        commit.committed_at,
        commit.subject,
    )


def _agent(ctx: Context) -> str:
    """Who calls, as a workspace names its agent: a subject means nothing without its issuer."""
    return f"{ctx.sender.issuer}/{ctx.sender.subject}" if ctx.sender.issuer else ctx.sender.subject


def _open_workspace_of_sender(ctx: Context, workspace: str) -> Workspace:
    """The workspace, if it is the caller's and open."""
    found = ctx.table(Workspace).get(workspace) or ctx.refuse("unknown_workspace", workspace=workspace)
    if found.agent != _agent(ctx):
        ctx.refuse("not_yours", workspace=workspace, agent=found.agent)
    if found.state != "open":
        ctx.refuse("workspace_closed", workspace=workspace)
    return found


def _check_branch(ctx: Context, branch: str) -> None:
    if not is_branch(branch):
        ctx.refuse("bad_branch", branch=branch[:NAME_SIZE_MAX])


def _check_head(ctx: Context, head: str) -> None:
    if head and not is_sha(head):
        ctx.refuse("bad_sha", sha=head[:80])


_SHA: Final = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_NO_BRANCH: Final = re.compile(
    r"[\x00-\x20\x7f~^:?*\[\\]"  # No control characters, blanks or pattern characters,
    r"|\.\.|@\{|//|/\.|\.lock(?:/|$)"  # nothing that reads as a range, a reflog entry or a lock file,
    r"|^[/.\-]|[/.]$|^@$"  # and no hidden, open-ended or option-like name.
)


def is_sha(text: str) -> bool:
    """Whether this is a full object name: SHA-1 or SHA-256 in lower-case hexadecimal."""
    return _SHA.fullmatch(text) is not None


def is_branch(text: str) -> bool:
    """Whether git would take this as a branch's name (git-check-ref-format(1), `--branch`)."""
    return 0 < len(text) <= NAME_SIZE_MAX and _NO_BRANCH.search(text) is None


def author_key(email: str, name: str) -> str:
    """One author's key: the address case-folded, else the name, else "unknown"."""
    return email.strip().casefold() or name.strip().casefold() or "unknown"


def repository_id(normal: str) -> str:
    """The id of a repository under its normalised URL."""
    return hashlib.sha256(normal.encode()).hexdigest()[:16]


def repository_name(normal: str) -> str:
    """What people call a repository: the last part of its path, or its host where there is none."""
    return normal.rstrip("/").rpartition("/")[2]


_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://(.*)", re.DOTALL)
_SCP_LIKE: Final = re.compile(r"(?:[^/@:]*(?::[^/@]*)?@)?(\[[0-9A-Fa-f:.]+\]|[^/@:\[\]]+):(.*)", re.DOTALL)
_DRIVE: Final = re.compile(r"[A-Za-z]:[\\/]")
_HOST: Final = re.compile(r"(\[[0-9a-f:.]+\]|[^\s:/\[\]@?#%]+)(?::([0-9]*))?")
_UNWANTED: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_LONE_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_UNRESERVED: Final = frozenset(string.ascii_letters + string.digits + "-._~")
_KEPT: Final = "%/:@!$&'()*+,;="
_SCHEMES: Final = {"git+ssh": "ssh", "ssh+git": "ssh", "git+https": "https", "git+http": "http", "git+file": "file"}
_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ssh": 22, "git": 9418, "ftp": 21, "ftps": 990}
_PORT_MAX: Final = 65_535


def normalise_url(url: str) -> str:
    """The one form of a repository's URL (RFC 3986 §6.2; git-clone(1), "Git URLs"). ValueError says what is wrong.

    `scheme://host[:port]/path`: scheme and host in lower case, no default port, no credentials, query or fragment, no
    dot segments, no trailing slash and no `.git`. `git@host:path` becomes `ssh://host/path`; an absolute path becomes
    `file:///path`. A relative path is refused: it means nothing to anybody else.
    """
    url = url.strip()
    if not url or len(url) > URL_SIZE_MAX:
        raise ValueError(f"a URL has 1 to {URL_SIZE_MAX} characters, found {len(url)}")
    if _UNWANTED.search(url):
        raise ValueError("a URL has no control characters")
    if match := _SCHEME.fullmatch(url):
        scheme = _SCHEMES.get(match[1].lower(), match[1].lower())
        authority, slash, path = match[2].partition("/")
        return _normal_file(authority, slash + path) if scheme == "file" else _normal(scheme, authority, path)
    if url.startswith("/"):
        return _normal_file("", _escape(url))
    if _DRIVE.match(url):
        return _normal_file("", _escape("/" + url.replace("\\", "/")))
    if match := _SCP_LIKE.fullmatch(url):
        return _normal("ssh", match[1], _escape(match[2]))
    raise ValueError("a relative path means nothing to anybody else: give a URL or an absolute path")


def _normal(scheme: str, authority: str, path: str) -> str:
    """A URL with a host."""
    host = authority.rpartition("@")[2].casefold()
    match = _HOST.fullmatch(host)
    name = match[1].rstrip(".") if match else ""
    port = int((match and match[2]) or 0)
    if not name or port > _PORT_MAX:
        raise ValueError("the URL's host or port cannot be read")
    shown = "" if port in {0, _DEFAULT_PORTS.get(scheme)} else f":{port}"
    return f"{scheme}://{name}{shown}{_normal_path(path)}"


def _normal_file(authority: str, path: str) -> str:
    """A path of this machine, or of a named host."""
    host = authority.rpartition("@")[2].casefold()
    if not path:
        raise ValueError("a file URL has an absolute path")
    if host not in {"", "localhost"}:
        return _normal("file", host, path)
    return f"file://{_normal_path(path) or '/'}"


def _normal_path(path: str) -> str:
    """A path from its root, "" for the root itself: escapes in one form, no empty or dot segments, no `.git` behind."""
    kept: list[str] = []
    for segment in _normal_escapes(re.split(r"[?#]", path, maxsplit=1)[0]).split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in {"", "."}:
            kept.append(segment)
    while kept and kept[-1].endswith(".git"):
        kept[-1] = kept[-1].removesuffix(".git")
        kept = kept if kept[-1] not in {"", ".", ".."} else kept[:-1]
    return "".join(f"/{segment}" for segment in kept)


def _normal_escapes(path: str) -> str:
    """Escapes in upper case, for all that needs one and nothing else (RFC 3986 §6.2.2)."""
    path = _LONE_PERCENT.sub("%25", path)
    return quote(_ESCAPE.sub(_normal_escape, path), safe=_KEPT)


def _normal_escape(match: re.Match[str]) -> str:
    character = chr(int(match[1], 16))
    return character if character in _UNRESERVED else match[0].upper()


def _escape(path: str) -> str:
    """A plain path as a URL's path: only what would be read as something else is escaped."""
    return path.replace("%", "%25").replace("?", "%3F").replace("#", "%23")
