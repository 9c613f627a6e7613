"""The dice: a generator that is held stable, because every logged call was thrown with it."""

import uuid
from collections import Counter

import pytest

from store.engine.dice import Random, call_seed, new_id
from store.ids import Offset, Timestamp

SEED = bytes(range(32))
BATCH_SEED = bytes(range(16))

GOLDEN_SEEDS = (
    "f6662280c829e84e9758dd61adf9a1e30b7540a38cd2718b05535e20b483babf",
    "ac95113be26b1c8b50c96a38c773a280a96bb06652abc2602bcb82431a738e87",
    "886fb1dcae35cdeda55c2e95c75f40989527e5f7dbb19afc1181f6c8fb428c99",
)
GOLDEN_DICE = [5, 5, 4, 3, 6, 5, 2, 5, 3, 4]
GOLDEN_INTEGERS = [-6194892030608241633, 5833331282050085309]
GOLDEN_FLOATS = [0.24700497653728315, 0.9298344224309398]
GOLDEN_SHUFFLE = [9, 4, 6, 8, 7, 3, 1, 5, 0, 2]
GOLDEN_CHOICES = "faafee"
GOLDEN_ID = "018bcfe5-687b-7b38-bd88-3a2900e5d6a9"


def test_the_seed_of_a_call_is_a_keyed_hash_of_its_offset() -> None:
    """BLAKE2b-256 of the offset, keyed with the batch's secret: these bytes never change."""
    assert call_seed(BATCH_SEED, Offset(1)).hex() == GOLDEN_SEEDS[0]
    assert call_seed(BATCH_SEED, Offset(2)).hex() == GOLDEN_SEEDS[1]
    assert call_seed(bytes(16), Offset(1)).hex() == GOLDEN_SEEDS[2]


def test_the_generator_is_stable() -> None:
    """The same seed draws these very numbers, in every version."""
    random = Random(SEED)
    assert random.bytes(5).hex() == "a9d6e50029"
    assert [random.integer(1, 6) for _ in range(10)] == GOLDEN_DICE
    assert [random.integer(-(2**63), 2**63 - 1) for _ in range(2)] == GOLDEN_INTEGERS
    assert [random.random() for _ in range(2)] == GOLDEN_FLOATS
    items = list(range(10))
    random.shuffle(items)
    assert items == GOLDEN_SHUFFLE
    assert [random.choice("abcdef") for _ in range(6)] == list(GOLDEN_CHOICES)


def test_bytes_are_taken_in_order() -> None:
    """However they are asked for, the stream is one."""
    whole = Random(SEED).bytes(1_000)
    pieces = Random(SEED)
    assert b"".join(pieces.bytes(count) for count in (1, 31, 32, 33, 0, 903)) == whole


@pytest.mark.parametrize(("low", "high"), [(0, 0), (1, 6), (-3, 3), (0, 255), (0, 256), (10**30, 10**30 + 2)])
def test_integers_are_within_their_bounds_and_equally_likely(low: int, high: int) -> None:
    """Both bounds are included, and no number comes much more often than another."""
    random = Random(SEED)
    throws = 3_000
    counts = Counter(random.integer(low, high) for _ in range(throws))
    assert low <= min(counts)
    assert max(counts) <= high
    span = high - low + 1
    if span <= 10:
        assert set(counts) == set(range(low, high + 1))
        assert max(counts.values()) < 1.25 * throws / span


def test_floats_are_from_0_up_to_but_not_1() -> None:
    """A float is a multiple of 2^-53 in [0, 1), and they spread evenly."""
    random = Random(SEED)
    drawn = [random.random() for _ in range(2_000)]
    assert all(0 <= each < 1 and (each * 2**53).is_integer() for each in drawn)
    assert 0.47 < sum(drawn) / len(drawn) < 0.53


def test_a_shuffle_is_a_permutation_and_every_place_is_as_likely() -> None:
    """No item prefers a place."""
    random = Random(SEED)
    places: Counter[tuple[int, int]] = Counter()
    for _ in range(2_000):
        items = [0, 1, 2, 3]
        random.shuffle(items)
        assert sorted(items) == [0, 1, 2, 3]
        places.update(enumerate(items))
    assert all(400 < count < 600 for count in places.values())


def test_of_nothing_there_is_no_choice() -> None:
    """An empty range and an empty sequence are a ValueError."""
    with pytest.raises(ValueError, match="expected low <= high, found 2 > 1"):
        Random(SEED).integer(2, 1)
    with pytest.raises(ValueError, match="low <= high"):
        Random(SEED).choice([])


def test_an_id_is_a_uuid_of_version_7() -> None:
    """48 bits of milliseconds, version 7, variant 10, and 74 random bits (RFC 9562 §5.7)."""
    random = Random(SEED)
    now = Timestamp(1_700_000_000_123_456)
    made = [new_id(random, now) for _ in range(100)]
    assert made[0] == GOLDEN_ID
    for each in made:
        parsed = uuid.UUID(each)
        assert str(parsed) == each
        assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
        assert parsed.int >> 80 == 1_700_000_000_123
    assert len(set(made)) == 100
    bits = [uuid.UUID(each).int for each in made]
    constant = [bit for bit in range(80) if len({each >> bit & 1 for each in bits}) == 1]
    assert constant == [62, 63, 76, 77, 78, 79]


def test_ids_sort_by_time() -> None:
    """A later millisecond is a greater id, as text too."""
    random = Random(SEED)
    made = [new_id(random, Timestamp(1_700_000_000_000_000 + step * 1_000)) for step in range(50)]
    assert made == sorted(made)
