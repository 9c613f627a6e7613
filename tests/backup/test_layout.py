"""The names of a backup's objects say what is in them, and everything else is foreign."""

import pytest

from store.backup.layout import (
    SIZE_MAX,
    block_object,
    key_object,
    moment_after,
    parse,
    push_object,
    segment_object,
    snapshot_object,
)
from store.env.objects import is_name
from store.env.world import OBJECT_SIZE_MAX
from store.ids import Offset, Timestamp

CHAIN = bytes(range(32))
DIGEST = "ab" * 32


@pytest.mark.parametrize(
    ("name", "expected", "kind", "parts"),
    [
        ("backup.json", "backup.json", "marker", ()),
        (block_object(DIGEST), f"block/{DIGEST}.blk", "block", (DIGEST,)),
        (
            snapshot_object(Offset(42), CHAIN),
            "snapshot/00000000000000000042-0001020304050607.json",
            "snapshot",
            ("00000000000000000042", "0001020304050607"),
        ),
        (
            segment_object(Offset(1), Offset(42), CHAIN),
            "log/00000000000000000001-00000000000000000042-0001020304050607.log.zst",
            "segment",
            ("00000000000000000001", "00000000000000000042", "0001020304050607"),
        ),
        (
            push_object(Timestamp(1_700_000_000_000_042), b"\1\2\3\4"),
            "push/20231114T221320.000042Z-01020304.json",
            "push",
            ("20231114T221320.000042Z", "01020304"),
        ),
        (
            key_object("cd" * 16, "ef" * 8),
            f"keys/{'cd' * 16}-{'ef' * 8}.json",
            "key",
            ("cd" * 16, "ef" * 8),
        ),
    ],
)
def test_a_name_is_made_and_taken_apart(name: str, expected: str, kind: str, parts: tuple[str, ...]) -> None:
    """The same both ways, and every object store takes it."""
    found = parse(name)
    assert name == expected
    assert found is not None
    assert (found.text, found.kind, found.parts) == (name, kind, parts)
    assert is_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "block/x.blk",
        f"block/{DIGEST.upper()}.blk",
        f"block/{DIGEST}.blk\n",
        f"block/../{DIGEST}.blk",
        f"x/block/{DIGEST}.blk",
        "log/00000000000000000001.log",
        "snapshot/42-0001020304050607.json",
        "snapshot/٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٤٢-0001020304050607.json",
        "backup.json.new",
    ],
)
def test_any_other_name_is_foreign(name: str) -> None:
    """It is never read, so it leads nowhere."""
    assert parse(name) is None


def test_names_of_pushes_are_in_the_order_of_their_clocks() -> None:
    """Across seconds, minutes and years."""
    moments = [0, 1, 999_999, 1_000_000, 59_999_999, 60_000_000, 1_700_000_000_000_000, 4_000_000_000_000_000]
    names = [push_object(Timestamp(each), bytes(4)) for each in moments]
    assert names == sorted(names)


@pytest.mark.parametrize("moment", [0, 999_999, 1_000_000, 1_700_000_000_123_456, 4_000_000_000_000_000])
def test_the_moment_behind_a_push_is_known_from_its_name(moment: int) -> None:
    """To the microsecond."""
    assert moment_after(push_object(Timestamp(moment), bytes(4))) == moment + 1


@pytest.mark.parametrize(
    "moment",
    ["20261301T000000.000000Z", "20260230T000000.000000Z", "20260101T250000.000000Z", "00010101T000000.000000Z"],
)
def test_a_note_of_no_moment_is_foreign(moment: str) -> None:
    """Whoever names the next one counts on from the newest."""
    assert parse(f"push/{moment}-00000000.json") is None


def test_what_an_object_may_hold_fits_into_one() -> None:
    """With what encryption adds."""
    assert max(SIZE_MAX.values()) * 1.01 < OBJECT_SIZE_MAX
