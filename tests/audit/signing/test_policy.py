"""Whose cosignatures a checkpoint wants."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.audit.objects.checkpoint import Checkpoint
from store.audit.objects.layout import Malformed
from store.audit.objects.merkle import EMPTY_ROOT
from store.audit.objects.notes import COSIGNATURE, Note, SecretKey, sign
from store.audit.signing.policy import Policy, policy_of, read_policy
from tests.audit.scenes import KEY, ORIGIN

WITNESSES = [SecretKey(f"w{each}.example", bytes(31) + bytes((each,)), COSIGNATURE) for each in range(1, 6)]
V = [str(each.key) for each in WITNESSES]
TEXT = Checkpoint(ORIGIN, 5, EMPTY_ROOT).text
NESTED = f"""# The example of the C2SP page, smaller.
log {KEY.key}

witness X1 {V[0]}
witness X2 {V[1]} https://w2.example/x
 witness\tX3   {V[2]}
group X-witnesses 2 X1 X2 X3
witness Y1 {V[3]}
witness Y2 {V[4]}
group Y-witnesses any Y1 Y2
group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
"""


def cosigned(*numbers: int) -> Note:
    """A checkpoint that these witnesses have cosigned."""
    return sign(TEXT, [KEY, *(WITNESSES[each] for each in numbers)], time=1_800_000_000)


@pytest.mark.parametrize(
    ("numbers", "enough"),
    [
        ((0, 1, 3), True),
        ((1, 2, 4), True),
        ((0, 1, 2), False),
        ((0, 3, 4), False),
        ((), False),
        ((0, 1, 2, 3, 4), True),
    ],
)
def test_groups_are_made_of_witnesses_and_of_groups(numbers: tuple[int, ...], enough: bool) -> None:  # noqa: FBT001
    """So many of each group's members must have cosigned."""
    assert read_policy(NESTED).satisfied_by(cosigned(*numbers)) is enough


def test_a_policy_has_a_text() -> None:
    """Which is read as the same policy."""
    found = read_policy(NESTED)
    assert read_policy(found.text) == found
    assert found.logs == (KEY.key,)
    assert [each.url for each in found.witnesses] == ["", "https://w2.example/x", "", "", ""]


def test_so_many_of_some_witnesses_is_a_policy() -> None:
    """The usual one; of none, nobody is wanted."""
    pairs = [(each.key, f"https://{each.key.name}") for each in WITNESSES[:3]]
    found = policy_of(pairs, 2, logs=[KEY.key])
    assert found.satisfied_by(cosigned(0, 2))
    assert not found.satisfied_by(cosigned(0))
    assert policy_of(pairs, 0).satisfied_by(cosigned())
    assert policy_of([], 0) == Policy()
    with pytest.raises(Malformed):
        policy_of(pairs, 4)


def test_a_quorum_may_be_one_witness_or_nobody() -> None:
    """Without a group."""
    assert not read_policy(f"witness a {V[0]}\nquorum a\n").satisfied_by(cosigned(1))
    assert read_policy(f"witness a {V[0]}\nquorum a\n").satisfied_by(cosigned(0, 1))
    assert read_policy("quorum none").satisfied_by(cosigned())


def test_a_cosignature_that_does_not_hold_counts_for_nothing() -> None:
    """Nor does one of another text, or of a key that only shares the name."""
    other = sign("other\n", [WITNESSES[0]], time=5).signatures
    namesake = SecretKey("w1.example", bytes(32), COSIGNATURE)
    note = sign(TEXT, [KEY, namesake], time=5).joined(other)
    assert read_policy(f"witness a {V[0]}\nquorum a\n").cosigned_by(note) == frozenset()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "quorum"),
        (f"witness a {V[0]}\n", "quorum"),
        ("quorum a", "line 1 .* not defined"),
        ("quorum none\nquorum none", "line 2"),
        (f"witness none {V[0]}\nquorum none", "defined already"),
        (f"witness a {V[0]}\nwitness a {V[1]}", "line 2 .* defined already"),
        (f"witness a {V[0]}\nwitness b {V[0]}", "twice"),
        (f"log {KEY.key}\nlog {KEY.key}", "twice"),
        (f"witness a {KEY.key}", "type 4"),
        ("witness a nonsense", "line 1"),
        (f"witness a {V[0]}\ngroup g 2 a", "line 2"),
        (f"witness a {V[0]}\ngroup g 0 a", "line 2"),
        (f"witness a {V[0]}\ngroup g x a", "line 2"),
        (f"witness a {V[0]}\ngroup g any a a", "another group"),
        (f"witness a {V[0]}\ngroup g any a\ngroup h any a", "another group"),
        ("group g any g", "not defined"),
        ("group g any none", "not defined"),
        ("group g any", "expected log"),
        ("wat", "expected log"),
        ("quorum none\x07", "control"),
        ("\n" * 1_001, "at most"),
    ],
)
def test_what_is_no_policy_is_refused(text: str, why: str) -> None:
    """The error names the line."""
    with pytest.raises(Malformed, match=why):
        read_policy(text)


@given(st.text(alphabet="abgn \n\t#12", max_size=60) | st.text(max_size=60))
def test_any_text_is_a_policy_or_refused(text: str) -> None:
    """Nothing but Malformed comes out of it."""
    for each in (text, f"{NESTED}{text}", text + NESTED):
        try:
            read_policy(each).satisfied_by(cosigned(0))
        except Malformed:
            continue
