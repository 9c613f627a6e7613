"""The rules of `store backup`: what is sent, what comes back, who can read it, and what is said when it cannot be."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from store.cli.exits import Exit
from tests.cli.history import balance, deposit, error, events, files, flip, run
from tests.cli.tenant import Tenant, process, running, store
from tests.env.s3_server import ACCESS_KEY, BUCKET, SECRET_KEY, s3_server


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A stopped store with a history and a snapshot in it."""
    folder = tmp_path / "data"
    deposit(folder, *range(1, 10))
    run("snapshot", "take", "data", cwd=tmp_path)
    deposit(folder, *range(10, 15))
    run("snapshot", "take", "data", cwd=tmp_path)
    return folder


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    """Two operator's keys."""
    made = (tmp_path / "one.key", tmp_path / "two.key")
    for place, each in enumerate(made):
        each.write_text(f"{place + 1:064x}\n")
        each.chmod(0o600)
    return made


def test_a_push_sends_what_is_not_there(data: Path) -> None:
    """The first sends all, the second nothing, a third what came since; each says how far the backup reaches."""
    cwd = data.parent
    (first,) = events("backup", "push", "data", "backup", cwd=cwd)
    assert first["objects_sent"] > 0
    assert (first["snapshots"], first["encrypted"], first["refused"]) == (2, False, {})
    (second,) = events("backup", "push", "data", "backup", cwd=cwd)
    assert second["bytes_sent"] < first["bytes_sent"]
    assert second["last_offset"] == first["last_offset"]
    deposit(data, 20, 21)
    third = run("backup", "push", "data", "backup", cwd=cwd)
    assert "holds all through offset" in third.stdout
    assert "not sealed yet" in third.stderr


def test_any_moment_comes_back_on_a_bare_machine(data: Path) -> None:
    """From the backup alone: the newest moment, or any other; a directory that is not there is made."""
    cwd = data.parent
    (pushed,) = events("backup", "push", "data", "backup", cwd=cwd)
    _, newest = events("restore", "--from", "backup", "--into", "bare", cwd=cwd)
    assert newest["offset"] == pushed["last_offset"]
    assert balance(cwd / "bare") == 100 + sum(range(1, 15))
    _, early = events("restore", "early", "--from", "backup", "--to-offset", "8", cwd=cwd)
    assert (early["offset"], early["in_place"]) == (8, False)
    missed = error("restore", "--from", "backup", "--to-offset", "99", "--into", "no", cwd=cwd, exit_code=9)
    assert "offsets 1 to" in missed["message"]


def test_a_restore_on_a_bare_machine_that_was_killed_begins_anew_by_the_same_command(data: Path) -> None:
    """It goes into the directory itself, as it did before."""
    run("backup", "push", "data", "backup", cwd=data.parent)
    bare = data.parent / "bare"
    bare.mkdir()
    (bare / "restoring.json").write_bytes(b'{"reason":"restore","offset":14}')
    run("restore", "bare", "--from", "backup", "--newest", cwd=data.parent)
    assert not (bare / "current").exists()
    assert not (bare / "restoring.json").exists()
    assert balance(bare) == balance(data)


def test_a_store_is_restored_in_place_from_its_backup(data: Path) -> None:
    """Where the directory is there, the backup becomes its new generation, and the old files stay."""
    run("backup", "push", "data", "backup", cwd=data.parent)
    for segment in (data / "log").iterdir():
        segment.unlink()
    _, restored = events("restore", "data", "--from", "backup", cwd=data.parent)
    assert restored["in_place"]
    assert balance(data) == 100 + sum(range(1, 15))


def test_another_tenants_backup_never_comes_in_place(data: Path) -> None:
    """It is refused before anything is written; into a directory of its own it goes."""
    cwd = data.parent
    run("backup", "push", "data", "backup", cwd=cwd)
    deposit(cwd / "another", 1, 2)
    before = files(cwd / "another")
    error("restore", "another", "--from", "backup", cwd=cwd, exit_code=Exit.DIRECTORY)
    assert files(cwd / "another") == before


def test_list_tells_what_is_restorable(data: Path) -> None:
    """A line for each history, with its ranges; then the whole, with what is missing or foreign, and an alarm."""
    cwd = data.parent
    (pushed,) = events("backup", "push", "data", "backup", cwd=cwd)
    branch, whole = events("backup", "list", "backup", cwd=cwd)
    assert branch["ranges"][0]["first"] == 1
    assert branch["last_offset"] == branch["ranges"][-1]["last"] == pushed["last_offset"]
    assert (whole["alarm"], whole["missing"], whole["foreign"]) == ("", [], [])
    assert f"1 to {branch['ranges'][0]['last']}" in run("backup", "list", "backup", cwd=cwd).stdout
    late = ("--set", "backup.interval_s=0.001", "--set", "backup.url=backup")
    assert "old" in events("backup", "list", *late, cwd=cwd)[-1]["alarm"]


def test_a_pull_brings_one_whole_history(data: Path) -> None:
    """The folder is a data directory: any moment of it can be restored, or it goes on from its end."""
    cwd = data.parent
    run("backup", "push", "data", "backup", cwd=cwd)
    (pulled,) = events("backup", "pull", "backup", "pulled", cwd=cwd)
    assert pulled["files"] > 0
    run("restore", "pulled", "--to-offset", "8", "--into", "new", cwd=cwd)
    plain = run("backup", "pull", "backup", "again", cwd=cwd).stdout
    assert "store token mint --data again" in plain
    assert "store serve --data again" in plain
    assert balance(cwd / "pulled") == 100 + sum(range(1, 15))


def test_verify_reads_every_object(data: Path) -> None:
    """0 where all hold; 4 names a damaged object; 5 one that is gone; 6 where there is no backup."""
    cwd = data.parent
    run("backup", "push", "data", "backup", cwd=cwd)
    assert run("backup", "verify", "backup", cwd=cwd).stdout.endswith("sound\n")
    block = next((cwd / "backup" / "block").rglob("*.blk*"))
    flip(block, block.stat().st_size // 2)
    finding, result = events("backup", "verify", "backup", cwd=cwd, exit_code=Exit.CORRUPTION)
    assert finding["kind"] == "damaged"
    assert block.name.split(".")[0] in finding["name"]
    assert result["hint"]
    block.unlink()
    finding, _ = events("backup", "verify", "backup", cwd=cwd, exit_code=Exit.GAP)
    assert finding["kind"] == "missing"
    elsewhere = (("verify", "nowhere"), ("list", "nowhere"), ("pull", "nowhere", "bare"))
    for command in (*(("backup", *each) for each in elsewhere), ("restore", "--from", "nowhere", "--into", "bare")):
        error(*command, cwd=cwd, exit_code=Exit.NOTHING_THERE)
    assert not (cwd / "nowhere").exists()


def test_an_encrypted_backup_opens_with_its_key_alone(data: Path, keys: tuple[Path, Path]) -> None:
    """Without the key, or with another, nothing comes back, and which key it wants is said; no secret is shown."""
    cwd, (one, two) = data.parent, keys
    (pushed,) = events("backup", "push", "data", "backup", "--key-file", str(one), cwd=cwd)
    assert pushed["encrypted"]
    for wrong in ((), ("--key-file", str(two))):
        command = ("restore", "--from", "backup", "--into", "bare", *wrong)
        said = error(*command, cwd=cwd, exit_code=Exit.DIRECTORY)
        assert one.read_text().strip() not in str(said)
    run("restore", "--from", "backup", "--into", "bare", "--key-file", str(one), cwd=cwd)
    assert balance(cwd / "bare") == balance(data)
    assert all(b"accounts" not in content for content in files(cwd / "backup").values())


def test_the_key_may_come_from_the_environment(data: Path, keys: tuple[Path, Path]) -> None:
    """STORE_BACKUP_KEY is no option of the configuration, and is never listed."""
    secret = keys[0].read_text().strip()
    pushed = process("backup", "push", "data", "backup", "--json", cwd=data.parent, STORE_BACKUP_KEY=secret)
    assert pushed.returncode == Exit.DONE, pushed.stderr
    assert '"encrypted":true' in pushed.stdout
    listed = process("config", "--json", cwd=data.parent, STORE_BACKUP_KEY=secret)
    assert listed.returncode == Exit.DONE
    assert secret not in listed.stdout


def test_a_key_is_made_for_its_owner_alone(data: Path) -> None:
    """It begins an encrypted backup; one that is there is never written over, and a missing one says how to make it."""
    cwd = data.parent
    missing = error("backup", "push", "data", "backup", "--key-file", "my.key", cwd=cwd, exit_code=Exit.CONFIG)
    assert "make-key" in missing["hint"]
    (made,) = events("backup", "make-key", "my.key", cwd=cwd)
    content = (cwd / "my.key").read_bytes()
    assert (cwd / "my.key").stat().st_mode & 0o777 == 0o600
    assert content.decode().strip() not in str(made)
    error("backup", "make-key", "my.key", cwd=cwd, exit_code=Exit.CONFIG)
    assert (cwd / "my.key").read_bytes() == content
    (pushed,) = events("backup", "push", "data", "backup", "--key-file", "my.key", cwd=cwd)
    assert pushed["encrypted"]
    assert "--key-file other.key" in run("backup", "make-key", "other.key", cwd=cwd).stdout


def test_a_clone_needs_no_source_beside_a_backup(data: Path) -> None:
    """`clone --from URL INTO`; two sources, or no name for the copy, are refused."""
    cwd = data.parent
    run("backup", "push", "data", "backup", cwd=cwd)
    _, cloned = events("clone", "--from", "backup", "copy", cwd=cwd)
    assert (cloned["into"], cloned["reason"]) == ("copy", "clone")
    error("clone", "data", "other", "--from", "backup", cwd=cwd, exit_code=Exit.CONFIG)
    error("clone", "data", cwd=cwd, exit_code=Exit.CONFIG)
    assert "copied, as of offset" in run("clone", "data", "other", cwd=cwd).stdout


def test_a_backup_is_pruned_by_the_rules_of_snapshots(data: Path) -> None:
    """A dry run says what would go and why the rest stays; what went is not missed, and the rest restores."""
    cwd = data.parent
    for amount in (20, 21, 22):
        deposit(data, amount, amount)
        run("snapshot", "take", "data", cwd=cwd)
    run("backup", "push", "data", "backup", cwd=cwd)
    rules = ("--keep-last", "0", "--keep-daily", "0", "--keep-for", "0s", "--grace", "0s")
    before = files(cwd / "backup")
    would = run("backup", "prune", "backup", *rules, "--dry-run", cwd=cwd).stdout
    assert "nothing needs it, and its grace is over" in would
    assert "one of the two newest" in would
    assert files(cwd / "backup") == before
    (pruned,) = events("backup", "prune", "backup", *rules, cwd=cwd)
    assert len(pruned["snapshots"]) == 3
    assert pruned["segments"]
    run("backup", "verify", "backup", cwd=cwd)
    (*_, listed) = events("backup", "list", "backup", cwd=cwd)
    assert (listed["missing"], listed["refused"]) == ([], {})
    _, newest = events("restore", "--from", "backup", "--into", "bare", cwd=cwd)
    assert balance(cwd / "bare") == balance(data)
    assert newest["offset"] > 0
    assert "0 snapshots, 0 segments and 0 blocks went" in run("backup", "prune", "backup", *rules, cwd=cwd).stdout
    error("backup", "prune", "nowhere", cwd=cwd, exit_code=Exit.NOTHING_THERE)
    error("backup", "prune", "backup", "--keep-for", "soon", cwd=cwd, exit_code=Exit.CONFIG)


def test_a_push_may_prune_afterwards(data: Path) -> None:
    """By the options of the backup, which keep a month; both results are said."""
    pushed, pruned = events("backup", "push", "data", "backup", "--prune", cwd=data.parent)
    assert (pushed["event"], pruned["event"]) == ("pushed", "backup_pruned")
    assert pruned["snapshots"] == []


def test_a_key_is_rotated(data: Path, keys: tuple[Path, Path]) -> None:
    """The new key opens everything, the old one nothing more; a file that is not there is made, for its owner."""
    cwd, (one, _) = data.parent, keys
    run("backup", "push", "data", "backup", "--key-file", str(one), cwd=cwd)
    (rotated,) = events("backup", "rotate-key", "fresh.key", "backup", "--key-file", str(one), cwd=cwd)
    assert rotated["removed"] > 0
    assert (cwd / "fresh.key").stat().st_mode & 0o777 == 0o600
    error("backup", "list", "backup", "--key-file", str(one), cwd=cwd, exit_code=Exit.DIRECTORY)
    run("restore", "--from", "backup", "--into", "bare", "--key-file", "fresh.key", cwd=cwd)
    deposit(data, 33)
    run("backup", "push", "data", "backup", "--key-file", "fresh.key", cwd=cwd)
    error("backup", "rotate-key", "next.key", "backup", cwd=cwd, exit_code=Exit.CONFIG)


def test_what_cannot_be_pushed_is_refused(data: Path, keys: tuple[Path, Path]) -> None:
    """No URL, an unreadable one, a key others may read, no store, another store's backup."""
    cwd = data.parent
    error("backup", "push", "data", cwd=cwd, exit_code=Exit.CONFIG)
    error("backup", "push", "data", "ftp://x", cwd=cwd, exit_code=Exit.CONFIG)
    error("backup", "push", "elsewhere", "backup", cwd=cwd, exit_code=Exit.NOTHING_THERE)
    keys[0].chmod(0o644)
    said = error("backup", "push", "data", "backup", "--key-file", str(keys[0]), cwd=cwd, exit_code=Exit.CONFIG)
    assert "others" in said["message"]
    run("backup", "push", "data", "backup", cwd=cwd)
    deposit(cwd / "another", 1, 2)
    run("snapshot", "take", "another", cwd=cwd)
    before = files(cwd / "backup")
    error("backup", "push", "another", "backup", cwd=cwd, exit_code=Exit.DIRECTORY)
    assert files(cwd / "backup") == before


@pytest.fixture
def tenant(tmp_path: Path) -> Iterator[Tenant]:
    """A tenant that runs, with an account of 100."""
    with running(tmp_path) as made:
        called = store("call", "open_account", "1", "ada", "100", cwd=tmp_path, **made.variables)
        assert called.returncode == Exit.DONE, called.stderr
        yield made


def test_a_running_tenant_is_pushed_and_comes_back(tenant: Tenant) -> None:
    """A snapshot seals its log, a push sends it, and from the backup alone the tenant is back with its rows."""
    cwd = tenant.directory
    for command in (("snapshot", "take", "data"), ("backup", "push", "data", "backup")):
        ended = process(*command, cwd=cwd, **tenant.variables)
        assert ended.returncode == Exit.DONE, ended.stderr
    tenant.kill()
    ended = process("restore", "--from", "backup", "--into", "bare", cwd=cwd)
    assert ended.returncode == Exit.DONE, ended.stderr
    assert balance(cwd / "bare") == 100


def test_s3_brings_a_tenant_back(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pushed to a bucket and restored from it, by the same commands; credentials come from the environment alone."""
    cwd, url = data.parent, f"s3://{BUCKET}/tenants/ada"
    with s3_server(monkeypatch) as endpoint:
        there = ("--endpoint", endpoint)
        run("backup", "push", "data", url, *there, cwd=cwd)
        listed = run("backup", "list", url, *there, cwd=cwd)
        run("restore", "--from", url, *there, "--to-offset", "8", "--into", "bare", cwd=cwd)
        run("restore", "--from", url, *there, "--into", "newest", cwd=cwd)
        said = error("backup", "list", "s3://no-such-bucket/x", *there, cwd=cwd, exit_code=Exit.DIRECTORY)
    assert "no-such-bucket" in said["message"]
    assert ACCESS_KEY not in str(said) + listed.stdout
    assert SECRET_KEY not in str(said) + listed.stdout
    assert balance(cwd / "newest") == balance(data)


def test_what_is_pinned_stays_in_the_backup_until_it_is_unpinned_there(data: Path) -> None:
    """Listed with its reason; taken away by name, where the directory that set it is gone."""
    here = data.parent
    run("snapshot", "pin", "data", "6", "--name", "audit", "--reason", "for the auditors", cwd=here)
    (pushed,) = events("backup", "push", "data", "backup", cwd=here)
    assert pushed["pins"] == 1
    listed = run("backup", "list", "backup", cwd=here).stdout
    assert re.search(r"pinned: audit, offset 6 of epoch [0-9a-f]{32}: for the auditors", listed)
    (*_, whole) = events("backup", "list", "backup", cwd=here)
    assert [(each["name"], each["offset"], each["until"]) for each in whole["pins"]] == [("audit", 6, None)]
    assert not whole["foreign"]
    events("backup", "verify", "backup", cwd=here)
    said = error("backup", "unpin", "backup", "other", cwd=here, exit_code=Exit.NOTHING_THERE)
    assert "audit (epoch " in said["hint"]
    run("backup", "unpin", "backup", "audit", cwd=here)
    (*_, whole) = events("backup", "list", "backup", cwd=here)
    assert whole["pins"] == []


def test_of_two_pins_of_one_name_the_epoch_tells_which(data: Path) -> None:
    """Set in a history that was given up, and in the one that went on from it."""
    here = data.parent
    run("snapshot", "pin", "data", "6", "--name", "audit", cwd=here)
    run("backup", "push", "data", "backup", cwd=here)
    run("restore", "data", "--to-offset", "8", "--into", "other", cwd=here)
    deposit(here / "other", 1)
    run("snapshot", "take", "other", cwd=here)
    run("snapshot", "pin", "other", "newest", "--name", "audit", cwd=here)
    run("backup", "push", "other", "backup", cwd=here)
    (*_, whole) = events("backup", "list", "backup", cwd=here)
    epochs = [each["epoch"] for each in whole["pins"]]
    assert len(epochs) == 2
    said = error("backup", "unpin", "backup", "audit", cwd=here, exit_code=Exit.CONFIG)
    assert all(each in said["hint"] for each in epochs)
    run("backup", "unpin", "backup", "audit", "--epoch", epochs[0][:10], cwd=here)
    (*_, whole) = events("backup", "list", "backup", cwd=here)
    assert [each["epoch"] for each in whole["pins"]] == epochs[1:]


def test_no_key_is_made_for_a_rotation_that_cannot_be(data: Path, keys: tuple[Path, Path]) -> None:
    """An address where the key's file should stand, no backup, or the wrong old key: nothing is written."""
    here = data.parent
    one, two = map(str, keys)
    run("backup", "push", "data", "backup", "--key-file", one, cwd=here)
    before = set(files(here))
    for command, said in (
        (("s3://bucket/prefix", "new.key", "--key-file", one), "the new key's file comes first"),
        (("backup", "new.key", "--key-file", one), "is a folder"),
        (("new.key", "nowhere", "--key-file", one), "there is no backup"),
        (("new.key", "backup", "--key-file", two), "is encrypted under the operator's key"),
    ):
        ended = store("backup", "rotate-key", *command, cwd=here)
        assert (ended.returncode != 0, said in ended.stderr) == (True, True), ended.stderr
        assert set(files(here)) == before
    error("backup", "make-key", "s3://bucket/key", cwd=here, exit_code=Exit.CONFIG)
    assert set(files(here)) == before
