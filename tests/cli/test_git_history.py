"""The rules of reading a repository's history."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from store.cli.git_history import SUBJECT_SIZE_MAX, GitCommit, _read_fields, _read_time, open_repository, read_commits
from store.errors import ConfigError
from tests.end_to_end.history import make_history


def git(folder: Path, *arguments: str) -> str:
    """What git answers."""
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True).stdout.decode(errors="replace").strip()


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of 120 commits."""
    return make_history(tmp_path_factory.mktemp("git") / "history", commits=120)


def read_all(folder: Path, count_max: int = 1_000) -> list[GitCommit]:
    """All commits of a repository."""
    return list(read_commits(open_repository(folder), count_max=count_max))


def committed(tmp_path: Path, message: str) -> GitCommit:
    """One commit with that message, read back."""
    git(tmp_path, "init", "--quiet")
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    (tmp_path / "file").write_text("a\nb\n")
    git(tmp_path, "add", "file")
    git(tmp_path, *identity, "commit", "--quiet", "-m", message)
    (commit,) = read_all(tmp_path)
    return commit


def test_every_commit_is_read_once(history: Path) -> None:
    """All commits that HEAD reaches are read, newest first, with their parents."""
    said = git(history, "log", "--format=%H %P").splitlines()
    assert [f"{commit.sha} {commit.parents}".strip() for commit in read_all(history)] == [each.strip() for each in said]


def test_statistics_are_those_of_git(history: Path) -> None:
    """Files, insertions and deletions are what git diff counts; a merge has none."""
    for commit in read_all(history)[:15]:
        if commit.parents.count(" "):
            assert commit.changes == (0, 0, 0)
            continue
        counted = [line.split("\t") for line in git(history, "show", "--numstat", "--format=", commit.sha).splitlines()]
        assert commit.changes == (
            len(counted),
            sum(int(each[0]) for each in counted),
            sum(int(each[1]) for each in counted),
        )


def test_no_text_poses_as_another_field(history: Path) -> None:
    """Subjects that look like statistics or hold control characters stay subjects."""
    subjects = {commit.subject.rsplit(" ", 1)[0] for commit in read_all(history)}
    assert {
        "1 file changed, 2 insertions(+)",
        "tab\there, \x01 and quotes \"'",
        "\N{REPLACEMENT CHARACTER}" * 2,
    } <= subjects


def test_what_is_not_utf8_is_marked(history: Path) -> None:
    """A name in another encoding is read with marks where bytes were no UTF-8."""
    assert "L\N{REPLACEMENT CHARACTER}on" in {commit.name for commit in read_all(history)}


def test_newest_commits_only(history: Path) -> None:
    """A limit keeps the newest commits."""
    assert read_all(history, 7) == read_all(history)[:7]


def test_url_has_no_credentials(history: Path) -> None:
    """What git cloned with never leaves this machine."""
    assert open_repository(history).url == "https://example.com/team/history.git"


def test_a_folder_inside_will_do(history: Path) -> None:
    """Any folder inside a repository names it."""
    (history / "inside").mkdir(exist_ok=True)
    assert open_repository(history / "inside").commits == 120


def test_settings_of_the_user_do_not_matter(history: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The same history is read whatever the user's configuration, locale and environment say."""
    expected = read_all(history)
    settings = "[log]\nshowSignature=true\nmailmap=true\n[diff]\nalgorithm=patience\nrenames=copies\n[color]\nui=always"
    (tmp_path / "config").write_text(settings)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    assert read_all(history) == expected


def test_reading_may_stop_early(history: Path) -> None:
    """Who stops reading leaves no process behind."""
    commits = read_commits(open_repository(history), count_max=1_000)
    next(commits)
    commits.close()


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("1000", datetime.fromtimestamp(1000, UTC)),
        ("-1000", datetime.fromtimestamp(-1000, UTC)),
        ("99999999999999999999", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("-99999999999999999999", datetime(1, 1, 1, tzinfo=UTC)),
        ("", datetime.fromtimestamp(0, UTC)),
    ],
)
def test_odd_times_have_a_nearest_one(said: str, read: datetime) -> None:
    """A time that no calendar holds becomes the nearest that one does; one that cannot be read is 1970."""
    assert _read_time(said) == read


def test_long_subjects_are_cut(tmp_path: Path) -> None:
    """A subject is kept up to its named limit."""
    assert len(committed(tmp_path, "x" * 5_000).subject) == SUBJECT_SIZE_MAX


def test_shallow_clone_tells_its_boundary(history: Path, tmp_path: Path) -> None:
    """Where a shallow clone ends, commits still name their true parents, and no statistics are made up."""
    subprocess.run(["git", "clone", "-q", "--depth=3", history.as_uri(), str(tmp_path / "shallow")], check=True)
    shallow = open_repository(tmp_path / "shallow")
    whole = {commit.sha: commit for commit in read_all(history)}
    assert shallow.boundary
    for commit in read_commits(shallow, count_max=1_000):
        assert commit.parents == whole[commit.sha].parents
        assert commit.changes == ((0, 0, 0) if commit.sha in shallow.boundary else whole[commit.sha].changes)


def test_no_folder(tmp_path: Path) -> None:
    """A path that is no folder is named, with what to do."""
    with pytest.raises(ConfigError, match="is no folder"):
        open_repository(tmp_path / "nowhere")


def test_no_repository(tmp_path: Path) -> None:
    """A folder outside any repository is named, with what git says."""
    with pytest.raises(ConfigError, match="not inside a git repository"):
        open_repository(tmp_path)


def test_no_commits(tmp_path: Path) -> None:
    """A repository without commits is told so."""
    git(tmp_path, "init", "--quiet")
    with pytest.raises(ConfigError, match="no commits yet"):
        open_repository(tmp_path)


def test_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where git is not installed, that is what is said."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="git is not installed"):
        open_repository(tmp_path)


def test_damaged_history_is_told(tmp_path: Path) -> None:
    """Where git fails midway, its own complaint is told."""
    folder = make_history(tmp_path / "damaged", commits=20)
    repository = open_repository(folder)
    lost = git(folder, "rev-parse", "HEAD~5")
    (folder / ".git" / "objects" / lost[:2] / lost[2:]).unlink()
    with pytest.raises(ConfigError, match="git log failed"):
        list(read_commits(repository, count_max=100))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_fields_arrive_in_any_pieces(size: int) -> None:
    """However the bytes are cut on their way, the fields are the same."""
    data = b"".join(b"\0a%d\0\0tail\n" % number for number in range(20))
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    fields = list(_read_fields(lambda _size: pieces.pop(0) if pieces else b"", 3))
    assert fields == [[b"a%d" % number, b"", b"tail\n"] for number in range(20)]


def test_no_output_is_no_commit() -> None:
    """Where git prints nothing, there is nothing."""
    assert list(_read_fields(lambda _size: b"", 3)) == []
