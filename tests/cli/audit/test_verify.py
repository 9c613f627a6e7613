"""The rules of `store audit verify`: what it says, with which code it ends, and on how many cores it reads."""

from pathlib import Path

import pytest

from store.cli.output import shown
from store.env.posix import PosixDisk, SystemClock
from store.env.worm_folder import FolderWorm
from store.log.segment import segment_offsets
from tests.audit.attacks import missing_batch, one_bit, unlocked
from tests.audit.real_trails import KEY, Shipping
from tests.audit.small_trails import FIRST_KEY, LOG, WITNESS, Trail, small_trail
from tests.cli.history import deposit, error, events, run


def verdict(folder: Path, *arguments: str, exit_code: int = 0, key: str = FIRST_KEY.vkey) -> dict:
    """The result as JSON has it."""
    said = events("audit", "verify", str(folder), "--key", key, *arguments, cwd=folder, exit_code=exit_code)
    assert said[-1]["event"] == "result"
    assert said[-1]["exit"] == exit_code
    return said[-1]


def test_a_sound_trail_is_verified(tmp_path: Path) -> None:
    """Counts, what was not checked, and the verdict last."""
    small_trail().write(tmp_path)
    plain = run("audit", "verify", ".", "--key", FIRST_KEY.vkey, "--check-locks", cwd=tmp_path).stdout
    assert plain.splitlines()[-1] == "VERIFIED"
    assert "10 of 10 events proven" in plain
    assert "locks: 14 of 14 objects" in plain
    assert "not checked: whether its signer rewrote" in plain


@pytest.mark.parametrize(
    ("attack", "code", "name"), [(one_bit, 1, "TAMPER"), (missing_batch, 2, "INCOMPLETE"), (unlocked, 3, "UNLOCKED")]
)
def test_the_verdict_is_the_exit_code(attack, code: int, name: str, tmp_path: Path) -> None:
    """1, 2 and 3, with a finding for each thing that was found."""
    attack().trail.write(tmp_path)
    assert verdict(tmp_path, "--check-locks", exit_code=code)["verdict"] == name
    plain = run("audit", "verify", ".", "--key", FIRST_KEY.vkey, "--check-locks", cwd=tmp_path, exit_code=code).stdout
    assert plain.splitlines()[0].startswith(name)
    assert plain.splitlines()[-1] == name


@pytest.mark.parametrize(
    "arguments",
    [
        ["audit", "verify"],
        ["audit", "verify", ".", "--nonsense"],
        ["audit", "verify", "."],
        ["audit", "verify", ".", "--key", "nonsense"],
        ["audit", "verify", ".", "--key", FIRST_KEY.vkey, "--key-from-trail"],
        ["audit", "verify", "none", "--key", FIRST_KEY.vkey],
        ["audit", "verify", ".", "--key", FIRST_KEY.vkey, "--from", "yesterday"],
        ["audit", "verify", ".", "--key", FIRST_KEY.vkey, "--trusted", "none"],
        ["audit", "verify", ".", "--key", FIRST_KEY.vkey, "--policy", "none"],
        ["audit", "verify", ".", "--key", FIRST_KEY.vkey, "--against", "none"],
        ["audit", "verify", "ftp://somewhere", "--key", FIRST_KEY.vkey],
    ],
)
def test_what_cannot_be_verified_ends_with_four(arguments: list[str], tmp_path: Path) -> None:
    """Wrong usage, no trail, no key: never a code that is a verdict."""
    small_trail(1).write(tmp_path)
    ended = run(*arguments, cwd=tmp_path, exit_code=4)
    assert ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_key_names_the_log_and_so_may_the_url(tmp_path: Path) -> None:
    """Of several trails in one store."""
    small_trail(1).write(tmp_path)
    small_trail(1, log="f" * 32).write(tmp_path)
    assert verdict(tmp_path)["log"] == LOG
    within = events("audit", "verify", f"audit/v1/{'f' * 32}/", "--key-from-trail", cwd=tmp_path)
    assert within[-1]["log"] == "f" * 32
    failed = error("audit", "verify", ".", "--key-from-trail", cwd=tmp_path, exit_code=4)
    assert "2 trails" in failed["message"]


def test_the_key_may_lie_in_a_file(tmp_path: Path) -> None:
    """One line."""
    small_trail(1).write(tmp_path)
    (tmp_path / "vkey").write_text(FIRST_KEY.vkey + "\n")
    assert verdict(tmp_path, key="vkey")["verdict"] == "VERIFIED"


def test_witnesses_are_named_one_by_one_or_by_a_policy(tmp_path: Path) -> None:
    """Then what they did not cosign does not count."""
    trail = Trail()
    trail.introduce(FIRST_KEY)
    trail.grow(3, 2, witnesses=[WITNESS]).write(tmp_path / "cosigned")
    small_trail().write(tmp_path / "alone")
    policy = tmp_path / "w.policy"
    policy.write_text(f"witness w1 {WITNESS.vkey}\nquorum w1\n")
    for named in (["--witness", WITNESS.vkey], ["--policy", str(policy)]):
        assert verdict(tmp_path / "cosigned", *named)["counts"]["checkpoints_counted"] == 2
        assert verdict(tmp_path / "alone", *named, exit_code=1)["counts"]["checkpoints_counted"] == 0


def test_a_long_trail_is_read_by_several_processes(tmp_path: Path) -> None:
    """With the same result, and damage in any batch found in its place."""
    trail = small_trail(*[2] * 24)
    one, two = verdict(trail.write(tmp_path / "a"), "--jobs", "1"), verdict(tmp_path / "a", "--jobs", "2")
    assert {**one, "store": ""} == {**two, "store": ""}
    name = next(each for each in sorted(trail.objects) if each.startswith("batch/000000000020"))
    trail.change(name, b"garbage")
    said = events(
        "audit", "verify", ".", "--key-from-trail", "--jobs", "2", cwd=trail.write(tmp_path / "b"), exit_code=1
    )
    assert name in [each["where"] for each in said if each["event"] == "finding"]


def test_a_trail_is_held_against_a_data_directory(tmp_path: Path) -> None:
    """Records that the trail does not tell of yet are counted; a log that says something else is found."""
    deposit(tmp_path / "data", *range(1, 6))
    disk = PosixDisk(tmp_path / "data", read_only=True)
    made = Shipping(FolderWorm(tmp_path / "trail", SystemClock())).tell(disk)
    deposit(tmp_path / "data", 7, 8)
    said = verdict(tmp_path / "trail", "--against", str(tmp_path / "data"), key=str(KEY.key))
    assert said["counts"]["log_records"] == made.trail.standing.size
    assert said["records_not_told_yet"] > 2
    segment = tmp_path / "data" / "log" / f"{segment_offsets(disk)[0]:020d}.log"
    segment.write_bytes(segment.read_bytes().replace(b"deposit", b"withdra"))
    damaged = run("audit", "verify", "trail", "--key", str(KEY.key), "--against", "data", cwd=tmp_path, exit_code=4)
    assert "byte" in damaged.stderr


def test_what_an_attacker_wrote_does_not_steer_the_terminal() -> None:
    """Control characters, and those that turn a line around, are shown by their numbers."""
    assert shown("a\x1b[2Jb\u202ec\n") == "a\\u001b[2Jb\\u202ec\\u000a"
