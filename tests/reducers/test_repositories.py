"""The rules of repositories, commits, authors and workspaces."""

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reducers import repositories
from reducers.repositories import COMMITS_PER_CALL_MAX, Author, Commit, Repository, Workspace, is_branch
from store.errors import MalformedCall, Refused
from store.testing import Store

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
URL = "https://example.com/team/tool.git"


def sha(number: int) -> str:
    """An object name made from a number."""
    return f"{number:040x}"


def a_commit(number: int, **said: Any) -> dict[str, Any]:
    """One commit as an importer says it, with what matters said anew."""
    moment = NOON + timedelta(hours=number)
    facts = {
        "shas": sha(number),
        "parents": sha(number - 1) if number > 1 else "",
        "names": "Ada",
        "emails": "ada@example.com",
        "authored": moment,
        "committed": moment,
        "subjects": f"change {number}",
        "changes": (1, 2, 3),
    }
    return {**facts, **said}


def import_all(store: Store, repository: str, commits: Sequence[dict[str, Any]]) -> Any:
    """Import commits in one call."""
    names = ("shas", "parents", "names", "emails", "authored", "committed", "subjects")
    lists: dict[str, Any] = {name: [commit[name] for commit in commits] for name in names}
    changes = [number for commit in commits for number in commit["changes"]]
    return store.call("import_commits", repository=repository, changes=changes, **lists)


def everything(store: Store) -> tuple[list[Any], ...]:
    """All rows of the domain."""
    return store.rows(Repository), store.rows(Commit), store.rows(Author), store.rows(Workspace)


@pytest.fixture
def store() -> Store:
    """A tenant with this one domain."""
    return Store.in_memory(repositories)


@pytest.fixture
def tool(store: Store) -> str:
    """The id of one registered repository."""
    key: str = store.call("register_repository", URL)
    return key


def refusal(store: Store, name: str, *args: Any, **named: Any) -> str:
    """The code a call is refused with; nothing may have changed."""
    before = everything(store)
    with pytest.raises(Refused) as refused:
        store.call(name, *args, **named)
    assert everything(store) == before
    return refused.value.reason


def test_register_is_once_per_repository(store: Store, tool: str) -> None:
    """Another spelling of the same URL is the same repository."""
    assert store.call("register_repository", "HTTPS://robot:secret@Example.COM:443/team//tool/") == tool
    assert [(row.url, row.name, row.commits) for row in store.rows(Repository)] == [
        ("https://example.com/team/tool", "tool", 0)
    ]


def test_register_refuses_what_is_no_url(store: Store) -> None:
    """A URL that means nothing to others is refused with the reason."""
    assert refusal(store, "register_repository", "../tool") == "bad_url"


def test_import_makes_rows(store: Store, tool: str) -> None:
    """An imported commit becomes a row under repository and sha, with its parents and statistics."""
    assert import_all(store, tool, [a_commit(2, parents=f"{sha(1)} {sha(9)}")]) == 1
    (row,) = store.rows(Commit)
    assert (row.id, row.parents, row.author, row.authored_at) == (
        f"{tool}:{sha(2)}",
        (sha(1), sha(9)),
        "ada@example.com",
        NOON + timedelta(hours=2),
    )
    assert (row.files, row.insertions, row.deletions) == (1, 2, 3)


def test_import_counts_once(store: Store, tool: str) -> None:
    """A commit that is imported again, by the same call or another, counts once."""
    assert import_all(store, tool, [a_commit(1), a_commit(2), a_commit(1)]) == 2
    before = everything(store)
    assert import_all(store, tool, [a_commit(2), a_commit(1)]) == 0
    assert everything(store) == before
    assert store.rows(Repository)[0].commits == store.rows(Author)[0].commits == 2


def test_import_of_nothing_is_nothing(store: Store, tool: str) -> None:
    """An empty batch is a call like any other, and changes no row."""
    before = everything(store)
    assert import_all(store, tool, []) == 0
    assert everything(store) == before


def test_same_sha_with_other_facts_is_refused(store: Store, tool: str) -> None:
    """A sha stands for its facts: who says otherwise is refused, together with the whole batch."""
    import_all(store, tool, [a_commit(1)])
    before = everything(store)
    with pytest.raises(Refused, match="commit_differs"):
        import_all(store, tool, [a_commit(2), a_commit(1, subjects="another")])
    assert everything(store) == before


def test_statistics_are_no_facts(store: Store, tool: str) -> None:
    """Another version of git may count changes otherwise: the first measurement stays."""
    import_all(store, tool, [a_commit(1)])
    assert import_all(store, tool, [a_commit(1, changes=(9, 9, 9))]) == 0
    assert store.rows(Commit)[0].files == 1


def test_a_fork_has_its_own_commits(store: Store, tool: str) -> None:
    """The same commit in two repositories is two rows, and counts twice for its author."""
    fork = store.call("register_repository", "git@example.com:ada/tool.git")
    import_all(store, tool, [a_commit(1)])
    import_all(store, fork, [a_commit(1)])
    assert len(store.rows(Commit)) == store.rows(Author)[0].commits == 2


def test_authors_are_known_by_address(store: Store, tool: str) -> None:
    """One address in any case is one author, under the name of the last commit, from first to last."""
    import_all(store, tool, [a_commit(3, names="Ada L.", emails="Ada@Example.com"), a_commit(1)])
    assert store.rows(Author) == [
        Author(
            email="ada@example.com",
            name="Ada L.",
            commits=2,
            first_commit_at=NOON + timedelta(hours=1),
            last_commit_at=NOON + timedelta(hours=3),
        )
    ]


def test_author_without_address_goes_by_name(store: Store, tool: str) -> None:
    """An author without an address is known by the name, and one without either is unknown."""
    import_all(store, tool, [a_commit(1, emails=" ", names="Ada"), a_commit(2, emails="", names="")])
    assert [author.email for author in store.rows(Author)] == ["ada", "unknown"]


def test_import_needs_a_repository(store: Store) -> None:
    """Commits of a repository that is not registered are refused."""
    with pytest.raises(Refused, match="unknown_repository"):
        import_all(store, "nowhere", [a_commit(1)])


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"shas": "main"}, "bad_sha"),
        ({"shas": sha(1).upper().replace("0", "A")}, "bad_sha"),
        ({"parents": "HEAD^"}, "bad_sha"),
        ({"changes": (1, -2, 0)}, "bad_changes"),
        ({"changes": (1, 2)}, "bad_batch"),
    ],
)
def test_import_refuses(store: Store, tool: str, wrong: dict[str, Any], reason: str) -> None:
    """What git would not say of a commit is refused with its reason."""
    before = everything(store)
    with pytest.raises(Refused) as refused:
        import_all(store, tool, [a_commit(1, **wrong)])
    assert refused.value.reason == reason
    assert everything(store) == before


def test_lists_have_one_length(store: Store, tool: str) -> None:
    """Lists that do not go together are refused."""
    lists: dict[str, Any] = {name: [] for name in ("parents", "names", "emails", "authored", "committed", "subjects")}
    named = {"repository": tool, "shas": [sha(1)], "changes": [0, 0, 0], **lists}
    assert refusal(store, "import_commits", **named) == "bad_batch"


def test_a_batch_has_a_limit(store: Store, tool: str) -> None:
    """One call brings no more commits than its named limit."""
    with pytest.raises(Refused, match="bad_batch"):
        import_all(store, tool, [a_commit(number) for number in range(1, COMMITS_PER_CALL_MAX + 2)])


def test_a_time_without_zone_is_named(store: Store, tool: str) -> None:
    """A time that says no zone is malformed, by the argument's name."""
    with pytest.raises(MalformedCall, match="authored"):
        import_all(store, tool, [a_commit(1, authored=datetime(2024, 5, 1))])  # noqa: DTZ001  # The point.


facts = st.builds(
    lambda number, who, hours, name: a_commit(
        number, emails=who, names=name, authored=NOON + timedelta(hours=hours), parents=""
    ),
    st.integers(1, 12),
    st.sampled_from(["ada@x.org", "ADA@x.org", "bob@x.org", ""]),
    st.integers(0, 3),
    st.sampled_from(["Ada", "ada l", "Bob"]),
)


@settings(max_examples=25, derandomize=True)
@given(
    commits=st.lists(facts, unique_by=lambda each: each["shas"], min_size=1, max_size=12),
    cuts=st.lists(st.integers(0, 12), max_size=4),
    order=st.randoms(use_true_random=False),
)
def test_order_never_shows(commits: list[dict[str, Any]], cuts: list[int], order: Any) -> None:
    """Commits imported in any order, batching and repetition make the same rows."""
    at_once, in_parts = Store.in_memory(repositories), Store.in_memory(repositories)
    tool = at_once.call("register_repository", URL)
    import_all(at_once, tool, commits)
    assert in_parts.call("register_repository", URL) == tool
    edges = sorted({0, *[cut for cut in cuts if cut < len(commits)], len(commits)})
    parts = [commits[start:end] for start, end in itertools.pairwise(edges)]
    parts += parts[:1]
    order.shuffle(parts)
    for part in parts:
        import_all(in_parts, tool, part[::-1])
    assert everything(in_parts) == everything(at_once)


def test_workspace_lives_and_closes(store: Store, tool: str) -> None:
    """An agent opens a workspace, moves it along commits and branches, and closes it; the row tells where it stood."""
    key = store.call("open_workspace", tool, "fix", "main", sender="ada")
    store.call("move_workspace", key, sha(4), sender="ada")
    store.call("move_workspace", key, sha(5), "fix/login", sender="ada")
    store.call("close_workspace", key, sender="ada")
    (row,) = store.rows(Workspace)
    assert (row.id, row.branch, row.head, row.state) == (f"{tool}:fix", "fix/login", sha(5), "closed")


def test_workspace_may_be_opened_again(store: Store, tool: str) -> None:
    """A closed workspace is opened again by its agent, under the same id; an open one is not."""
    key = store.call("open_workspace", tool, "fix", "main")
    assert refusal(store, "open_workspace", tool, "fix", "main") == "workspace_open"
    store.call("close_workspace", key)
    assert store.call("open_workspace", tool, "fix", "other") == key
    assert store.rows(Workspace)[0].branch == "other"


def test_workspace_is_its_agents_own(store: Store, tool: str) -> None:
    """Nobody but the agent who opened a workspace moves, closes or takes it."""
    key = store.call("open_workspace", tool, "fix", "main", sender="ada")
    assert refusal(store, "move_workspace", key, sha(1), sender="eve") == "not_yours"
    assert refusal(store, "close_workspace", key, sender="eve") == "not_yours"
    store.call("close_workspace", key, sender="ada")
    assert refusal(store, "open_workspace", tool, "fix", "main", sender="eve") == "not_yours"


def test_closed_workspace_stays(store: Store, tool: str) -> None:
    """A closed workspace does not move, and an unknown one does nothing."""
    key = store.call("open_workspace", tool, "fix", "main")
    store.call("close_workspace", key)
    assert refusal(store, "move_workspace", key, sha(1)) == "workspace_closed"
    assert refusal(store, "close_workspace", "nowhere") == "unknown_workspace"


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (("fix", "main", "HEAD"), "bad_sha"),
        (("fix", "a..b"), "bad_branch"),
        (("", "main"), "bad_name"),
        (("line\nbreak", "main"), "bad_name"),
    ],
)
def test_open_workspace_refuses(store: Store, tool: str, args: tuple[str, ...], reason: str) -> None:
    """A workspace has a name people can read, a branch git can have, and a full sha or none."""
    assert refusal(store, "open_workspace", tool, *args) == reason
    assert refusal(store, "open_workspace", "nowhere", *args) == "unknown_repository"


@pytest.mark.parametrize("name", ["main", "fix/login", "release-1.2", "ü", "a@b", "x.y/z"])
def test_branches(name: str) -> None:
    """What git takes as a branch is a branch."""
    assert is_branch(name)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            "-x",
            "/x",
            "x/",
            "x.",
            ".x",
            "x/.y",
            "a b",
            "a..b",
            "a//b",
            "a~1",
            "a^",
            "a:b",
            "a?",
            "a*",
            "a[",
            "a\\b",
        ),
        *("@", "a@{1}", "x.lock", "x.lock/y", "a\x7f", "x" * 201),
    ],
)
def test_no_branches(name: str) -> None:
    """What git does not take as a branch is none."""
    assert not is_branch(name)
