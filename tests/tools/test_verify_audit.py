"""The auditor's own verifier: it finds what is done to a trail, reads hostile bytes, and needs nothing of the store."""

import ast
import base64
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.audit.objects.notes import read_key
from store.audit.reading.verifying.findings import Verdict
from store.audit.reading.verifying.request import Request
from store.audit.reading.verifying.trail import Verification
from store.env.memory import MemoryClock
from store.env.worm_folder import FolderWorm
from store.transaction import Kind
from tests.audit import records, scenes
from tests.audit.attacks import ATTACKS, Attack
from tests.audit.small_trails import (
    DOMAIN,
    FIRST_KEY,
    LOG,
    ROOT_KEY,
    SECOND_KEY,
    START,
    WITNESS,
    Signer,
    Stored,
    Trail,
    canonical,
    event,
    leaf,
    small_trail,
    undone,
)

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "verify_audit.py"
VECTORS = ROOT / "tests" / "data" / "merkle"

_spec = importlib.util.spec_from_file_location("verify_audit", TOOL)
assert _spec is not None
assert _spec.loader is not None
tool = importlib.util.module_from_spec(_spec)
sys.modules["verify_audit"] = tool
_spec.loader.exec_module(tool)


def verify(capsys: pytest.CaptureFixture[str], *arguments: object, key: str = FIRST_KEY.vkey) -> dict[str, Any]:
    """What it says, line by line, and the exit status that it returns."""
    capsys.readouterr()
    status = tool.main([*map(str, arguments), "--key", key])
    *lines, verdict = capsys.readouterr().out.splitlines()
    findings = [each for each in lines if each.split()[0] in tool.KINDS.values()]
    checked, *not_checked = [each for each in lines if each not in findings]
    assert verdict == tool.KINDS[status]
    return {
        "exit": status,
        "verdict": verdict,
        "findings": findings,
        "counts": {name: int(many) for many, name in re.findall(r"(\d+) ([a-z ]+)", checked)},
        "not_checked": [each.removeprefix("NOT checked: ") for each in not_checked],
    }


def small_key(log: str) -> str:
    """The key of another log's trail."""
    return Signer(1, f"{DOMAIN}/audit/{log}").vkey


def options_of(attack: Attack, folder: Path) -> list[object]:
    """How an attacked trail is verified."""
    options: list[object] = [attack.trail.write(folder / "trail")]
    if attack.trusted is not None:
        (folder / "old.ckpt").write_bytes(attack.trusted)
        options += ["--trusted", folder / "old.ckpt"]
    for each in attack.witnesses:
        options += ["--witness", each]
    return options


def texts(said: dict[str, Any]) -> list[str]:
    """The findings, each as one text."""
    found: list[str] = said["findings"]
    return found


def test_a_sound_trail_is_verified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every event is proven, nothing is found, and what nobody can know is said."""
    said = verify(capsys, small_trail().write(tmp_path))
    assert (said["verdict"], said["findings"]) == ("VERIFIED", [])
    assert said["counts"]["events proven"] == 10
    assert any("rewrote" in each for each in said["not_checked"])


def test_a_plain_copy_says_that_locks_were_not_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As `aws s3 sync` makes one: bytes alone say nothing of locks."""
    said = verify(capsys, small_trail().write(tmp_path, locks=False))
    assert said["verdict"] == "VERIFIED"
    assert any(each.startswith("locks") for each in said["not_checked"])


@pytest.mark.parametrize(("offset", "lacks"), [(4, ""), (6, "offsets 4 to 5")])
def test_a_restore_that_was_undone_goes_on_where_its_epoch_was_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], offset: int, lacks: str
) -> None:
    """Offset 3, then another epoch, then offset 4: nothing is missing. Within a batch, and from one to another."""
    for number, batches in enumerate(undone(offset)):
        trail = small_trail(3)
        for each in batches:
            trail.batch(each)
        trail.checkpoint()
        folder = trail.write(tmp_path / str(number))
        expected = [f"INCOMPLETE event 4: {lacks} have no event"] if lacks else []
        assert texts(verify(capsys, folder)) == expected
        assert texts(verify(capsys, folder, "--from-seq", 3)) == expected


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda each: each.__name__)
def test_an_attack_is_found(attack: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the exit status of its kind, and a finding that says what was done."""
    done: Attack = attack()
    said = verify(capsys, *options_of(done, tmp_path))
    assert said["exit"] == done.found, texts(said)
    assert any(done.says in each for each in texts(said)), texts(said)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_changed_byte_anywhere_in_any_object_is_found(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Whichever object, whichever byte, whatever it becomes: never verified, never a crash."""
    trail = small_trail(2, 1)
    name = data.draw(st.sampled_from(sorted(trail.objects)))
    changed = bytearray(trail.objects[name].data)
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    trail.change(name, bytes(changed))
    folder = trail.write(tmp_path_factory.mktemp("fuzz"), locks=data.draw(st.booleans()))
    assert tool.main([str(folder), "--key", FIRST_KEY.vkey]) == 1


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_hostile_bytes_in_place_of_any_object_are_found(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Cut short, doubled, or anything at all, also JSON and notes that are nearly right."""
    trail = small_trail(2, 1)
    name = data.draw(st.sampled_from(sorted(trail.objects)))
    old = trail.objects[name].data
    hostile = st.one_of(
        st.binary(max_size=200),
        st.integers(0, len(old) - 1).map(lambda end: old[:end]),
        st.sampled_from(
            [old + old, old + b"\n", b"{}", b"[" * 10_000, b'{"v":' + b"9" * 5_000 + b"}", b"null", b"1e999"]
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        ).map(canonical_or_empty),
    )
    trail.change(name, data.draw(hostile.filter(lambda each: each != old)))
    folder = trail.write(tmp_path_factory.mktemp("fuzz"))
    assert tool.main([str(folder), "--key", FIRST_KEY.vkey]) == 1


def canonical_or_empty(value: Any) -> bytes:
    """JSON, where there is one."""
    try:
        return canonical(value)
    except UnicodeEncodeError:
        return b""


@settings(max_examples=100, deadline=None)
@given(
    member=st.sampled_from(sorted(small_trail(1).manifests[0])),
    value=st.none() | st.booleans() | st.integers() | st.text(max_size=70) | st.lists(st.text(max_size=3), max_size=3),
)
def test_a_manifest_with_any_member_of_any_kind_is_found_even_if_it_is_signed(
    tmp_path_factory: pytest.TempPathFactory, member: str, value: Any
) -> None:
    """Who has the key can sign nonsense; it is still no manifest, or not of these events."""
    trail = small_trail(2)
    manifest = trail.manifests[0]
    if member == "signature":
        said = {**manifest, "signature": value}
    elif member in {"version_id", "retain_until"} and isinstance(value, str):
        return  # What is signed of these is what counts.
    else:
        said = trail.signed({**manifest, member: value})
    if said == manifest:
        return
    trail.change("manifest/000000000000.json", canonical_or_empty(said))
    folder = trail.write(tmp_path_factory.mktemp("fuzz"))
    assert tool.main([str(folder), "--key", FIRST_KEY.vkey]) == 1


@settings(max_examples=100, deadline=None)
@given(
    line=st.sampled_from(["metadata", "unmapped", "time", "api", "actor"]),
    value=st.none() | st.integers() | st.text(max_size=5) | st.dictionaries(st.text(max_size=5), st.none(), max_size=2),
)
def test_a_signed_event_of_any_shape_is_no_crash(
    tmp_path_factory: pytest.TempPathFactory, line: str, value: Any
) -> None:
    """Without its sequence, offset and time it is no event; with them its other members are its own business."""
    trail = Trail()
    trail.introduce(FIRST_KEY)
    whole = event(0)
    trail.batch([whole])
    packed = canonical_or_empty({**whole, line: value})
    if packed == canonical(whole):
        return
    forged = Trail()
    forged.introduce(FIRST_KEY)
    forged.batch([whole])
    forged.lines[0] = packed
    forged.checkpoint()
    forged.change(
        "batch/000000000000-00000000000000000000-00000000000000000000.jsonl.zst",
        tool.zstandard.ZstdCompressor(write_checksum=True).compress(packed + b"\n"),
    )
    folder = forged.write(tmp_path_factory.mktemp("fuzz"))
    assert tool.main([str(folder), "--key", FIRST_KEY.vkey]) == 1


def test_a_key_and_its_successor_verify_one_trail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whichever of the two an auditor was given; during the overlap both may sign."""
    trail = small_trail(3)
    trail.introduce(SECOND_KEY, FIRST_KEY)
    trail.batch([event(3)])
    trail.checkpoint(FIRST_KEY, SECOND_KEY)
    folder = trail.grow(2).write(tmp_path)
    for each in (FIRST_KEY, SECOND_KEY):
        said = verify(capsys, folder, key=each.vkey)
        assert (said["verdict"], said["counts"]["keys"]) == ("VERIFIED", 2), texts(said)


def test_a_revoked_key_is_followed_by_one_that_the_root_introduced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the revoked key signed before stays proven."""
    trail = small_trail(3)
    trail.revoke(FIRST_KEY)
    trail.introduce(SECOND_KEY, FIRST_KEY, signer=ROOT_KEY)
    said = verify(capsys, trail.grow(2).write(tmp_path), "--root-key", ROOT_KEY.vkey)
    assert (said["verdict"], said["counts"]["events proven"]) == ("VERIFIED", 5), texts(said)


def test_a_witness_and_an_older_checkpoint_prove_that_nothing_was_rewritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Then that is not among what was not checked."""
    trail = Trail()
    trail.introduce(FIRST_KEY)
    trail.grow(3, 2, witnesses=[WITNESS])
    (tmp_path / "old.ckpt").write_bytes(trail.objects["checkpoint/00000000000000000003.ckpt"].data)
    folder = trail.write(tmp_path / "trail")
    for more in (["--witness", WITNESS.vkey], ["--trusted", tmp_path / "old.ckpt"]):
        said = verify(capsys, folder, *more)
        assert said["verdict"] == "VERIFIED"
        assert not any("rewrote" in each for each in said["not_checked"])


def test_every_witness_that_is_named_must_have_cosigned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One that is named twice is one."""
    trail = Trail()
    trail.introduce(FIRST_KEY)
    folder = trail.grow(3, witnesses=[WITNESS]).write(tmp_path)
    assert verify(capsys, folder, *["--witness", WITNESS.vkey] * 2)["exit"] == 0
    assert verify(capsys, folder, "--witness", WITNESS.vkey, "--witness", small_witness())["exit"] == 1


def small_witness() -> str:
    """Another witness's key."""
    return Signer(6, "other.example", algorithm=4).vkey


@pytest.mark.parametrize(
    ("options", "proven"),
    [
        (["--from-seq", 4, "--to-seq", 7], 4),
        (["--from-seq", 9], 2),
        (["--to-seq", 0], 3),
    ],
)
def test_a_part_is_verified_without_the_rest(
    options: list[object], proven: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Damage elsewhere does not matter, and is said not to have been looked for."""
    trail = small_trail()
    batches = [each for each in trail.objects if each.startswith("batch/")]
    sound = verify(capsys, trail.write(tmp_path / "sound"), *options)
    assert (sound["exit"], sound["counts"]["events proven"]) == (0, proven), texts(sound)
    assert any("not asked for" in each for each in sound["not_checked"])
    first = int(options[1]) if options[0] == "--from-seq" else 0  # type: ignore[call-overload]
    far = batches[0] if first else batches[-1]
    trail.change(far, b"garbage")
    assert verify(capsys, trail.write(tmp_path / "far", locks=False), *options)["exit"] == 0


def test_of_a_part_that_was_not_asked_for_what_was_signed_is_held_to_what_its_manifests_say(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another root there is found, and where the auditor kept a checkpoint the events before it are read, too."""
    trail, kept = small_trail(), small_trail().objects["checkpoint/00000000000000000003.ckpt"].data
    (tmp_path / "old.ckpt").write_bytes(kept)
    part = ("--from-seq", 8)
    said = verify(capsys, trail.write(tmp_path / "sound"), *part, "--trusted", tmp_path / "old.ckpt")
    assert (said["exit"], said["counts"]["events proven"]) == (0, 5), texts(said)
    trail.change(next(iter(each for each in trail.objects if each.startswith("batch/"))), b"garbage")
    said = verify(capsys, trail.write(tmp_path / "damaged", locks=False), *part, "--trusted", tmp_path / "old.ckpt")
    assert said["exit"] == 1
    forged = small_trail()
    forged.objects["checkpoint/00000000000000000003.ckpt"] = Stored(another_root(forged))
    said = verify(capsys, forged.write(tmp_path / "forged"), *part)
    assert (said["exit"], [each for each in texts(said) if "rewritten" in each] != []) == (1, True)


def another_root(trail: Trail) -> bytes:
    """A checkpoint over three events with another root, signed by who has the key."""
    text = f"{trail.origin}\n3\n{base64.b64encode(bytes(32)).decode()}\n"
    return f"{text}\n{FIRST_KEY.line(text)}".encode()


def test_a_part_goes_on_to_the_next_signed_root(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where a checkpoint covers several batches, those behind the part are verified as well."""
    trail = Trail()
    trail.introduce(FIRST_KEY)
    for number in range(4):
        trail.batch([event(2 * number), event(2 * number + 1)])
    trail.checkpoint()
    said = verify(capsys, trail.write(tmp_path), "--from-seq", 2, "--to-seq", 3)
    assert (said["exit"], said["counts"]["events proven"]) == (0, 6)


def test_what_no_checkpoint_signs_yet_is_not_proven(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A trail that is being written verifies, and says how many events wait."""
    trail = small_trail(3)
    trail.batch([event(3), event(4)])
    said = verify(capsys, trail.write(tmp_path))
    assert (said["exit"], said["counts"]["events proven"]) == (0, 3)
    assert any(each.startswith("2 events are not proven") for each in said["not_checked"])


def test_a_silence_is_found_where_it_was_said_how_long_is_too_long(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ended by a start it was a stop or a crash, and is a warning; else something is missing."""
    trail = small_trail(3)
    late = {"timestamp": START + 500_000_000}
    trail.batch([event(3, unmapped=late, time=(START + 500_000_000) // 1000)])
    trail.checkpoint()
    folder = trail.write(tmp_path / "silent")
    assert verify(capsys, folder)["exit"] == 0
    assert verify(capsys, folder, "--heartbeat", 180)["exit"] == 2
    trail = small_trail(3)
    start = {"api": {"operation": "start"}, "unmapped": {**late, "kind": "lifecycle"}}
    trail.batch([event(3, time=(START + 500_000_000) // 1000, **start)])
    trail.checkpoint()
    said = verify(capsys, trail.write(tmp_path / "stopped"), "--heartbeat", 180)
    assert (said["exit"], [each.split()[0] for each in said["findings"]]) == (0, ["WARNING"])


def test_a_new_epoch_goes_on_from_an_earlier_offset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After a restore: offsets come again under another epoch, the trail goes on."""
    trail = small_trail(5)
    trail.batch([event(5, epoch="e" * 32, offset=3), event(6, epoch="e" * 32, offset=4)])
    trail.checkpoint()
    said = verify(capsys, trail.write(tmp_path))
    assert (said["verdict"], said["findings"]) == ("VERIFIED", [])


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["FOLDER"],
        ["FOLDER", "--key", "nonsense"],
        ["FOLDER", "--key", "a+b+c"],
        ["FOLDER/none", "--key", FIRST_KEY.vkey],
        ["FOLDER", "--key", WITNESS.vkey],
        ["FOLDER", "--key", small_key("f" * 32)],
        ["FOLDER", "--key", FIRST_KEY.vkey, "--trusted", "FOLDER/none"],
        ["FOLDER", "--key", FIRST_KEY.vkey, "--from-seq", "yesterday"],
        ["FOLDER", "--key", FIRST_KEY.vkey, "--nonsense"],
    ],
)
def test_wrong_usage_ends_with_four(arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line that says what is wrong: never a verdict."""
    folder = small_trail(1).write(tmp_path)
    with pytest.raises(SystemExit) as ended:
        tool.main([each.replace("FOLDER", str(folder)) for each in arguments])
    assert ended.value.code == 4
    assert capsys.readouterr().err.startswith("verify_audit: ")


def test_of_several_logs_the_key_names_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bucket may hold the trails of several stores."""
    small_trail(1).write(tmp_path)
    small_trail(2, log="f" * 32).write(tmp_path)
    assert verify(capsys, tmp_path)["counts"]["events proven"] == 1
    assert verify(capsys, tmp_path, key=small_key("f" * 32))["counts"]["events proven"] == 2


def test_a_key_is_had_from_a_file_as_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As somebody sent it."""
    (tmp_path / "key").write_text(f"{FIRST_KEY.vkey}\n")
    assert verify(capsys, small_trail(1).write(tmp_path), key=str(tmp_path / "key"))["exit"] == 0


def test_a_link_is_not_followed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An object is a plain file of this folder."""
    folder = small_trail(1, 1).write(tmp_path)
    manifest = folder / "audit" / "v1" / LOG / "manifest" / "000000000001.json"
    manifest.rename(tmp_path / "elsewhere.json")
    manifest.symlink_to(tmp_path / "elsewhere.json")
    assert verify(capsys, folder)["exit"] == 1


@pytest.mark.parametrize(
    "vector", json.loads((VECTORS / "signed_notes.json").read_text()), ids=lambda each: each["name"]
)
def test_a_published_note_holds(vector: dict[str, str]) -> None:
    """Signed notes, checkpoints and cosignatures as other libraries make them; another key's does not."""
    note = tool.Note(vector["note"].encode())
    assert note.signers(tool.Key(vector["key"]), tool.Key(FIRST_KEY.vkey)) == {vector["key"]}


@given(counts=st.lists(st.integers(1, 9), max_size=6))
def test_a_tree_grown_leaf_by_leaf_has_the_root_of_the_definition(counts: list[int]) -> None:
    """RFC 6962 §2.1, recursively, against the frontier."""
    from tests.audit.small_trails import root  # noqa: PLC0415  # Only here.

    leaves = [leaf(str(each).encode()) for each in range(sum(counts))]
    frontier: list[bytes] = []
    for size, each in enumerate(leaves):
        tool.append(frontier, size, each)
    assert tool.root_of(frontier) == root(leaves)


def test_a_trail_of_sensitive_tables_is_verified_by_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is hidden in its events takes nothing from the proof."""
    signer = Signer(1, f"{DOMAIN}/audit/{scenes.LOG}")
    trail = Trail(log=scenes.LOG)
    trail.introduce(signer)
    reading = records.record(6, Kind.READ, "query", ["SELECT * FROM accounts WHERE id = $1", [7]])
    lines = records.events_of([*records.beginning(sensitive=("accounts",)), records.call(5), reading])
    trail.batch([json.loads(each) for each in lines])
    trail.checkpoint()
    said = verify(capsys, trail.write(tmp_path), key=signer.vkey)
    assert (said["verdict"], said["counts"]["events proven"]) == ("VERIFIED", 6), texts(said)
    request = Request(scenes.LOG, read_key(signer.vkey), with_records=True, with_writes=True, with_tally=True)
    assert Verification(FolderWorm(tmp_path, MemoryClock()), request).all().verdict == Verdict.VERIFIED


def test_the_worked_example_of_the_page_is_verified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """store/audit/FORMAT.md §9: its objects make a trail."""
    page = (ROOT / "store" / "audit" / "FORMAT.md").read_text()
    found: dict[str, str] = dict(re.findall(r"```(\w+)\n(.*?)```", page, re.DOTALL))
    key = next(line.removeprefix("new ") for line in found["key"].splitlines() if line.startswith("new "))
    manifest = json.loads(found["manifest"])
    objects = {
        manifest["key"]: base64.b64decode(found["batch"]),
        f"audit/v1/{manifest['log']}/manifest/000000000000.json": found["manifest"].rstrip("\n").encode(),
        f"audit/v1/{manifest['log']}/checkpoint/{3:020d}.ckpt": found["checkpoint"].encode(),
        f"audit/v1/{manifest['log']}/keys/{key.split('+')[1]}.note": found["key"].encode(),
    }
    for name, data in objects.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    said = verify(capsys, tmp_path, key=key)
    assert (said["verdict"], said["counts"]["events proven"]) == ("VERIFIED", 3), texts(said)


def test_it_can_be_read_in_a_sitting() -> None:
    """It is short: whoever does not trust us reads all of it."""
    assert len(TOOL.read_text().splitlines()) < 500


def test_it_imports_nothing_of_the_store() -> None:
    """The standard library, `cryptography` and `zstandard`: nothing else."""
    tree = ast.parse(TOOL.read_text())
    imports = {each.names[0].name for each in ast.walk(tree) if isinstance(each, ast.Import)}
    imports |= {each.module or "" for each in ast.walk(tree) if isinstance(each, ast.ImportFrom)}
    rooms = {each.partition(".")[0] for each in imports}
    assert rooms - set(sys.stdlib_module_names) == {"cryptography", "zstandard"}


def test_it_runs_as_a_file_alone(tmp_path: Path) -> None:
    """Copied away from the tree, it prints what it found and its verdict last."""
    (tmp_path / "verify_audit.py").write_bytes(TOOL.read_bytes())
    small_trail().write(tmp_path)
    command = [sys.executable, "-I", "verify_audit.py", ".", "--key", FIRST_KEY.vkey]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env={**os.environ})
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "VERIFIED"
    assert "NOT checked" in done.stdout
