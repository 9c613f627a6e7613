"""A witness cosigns only what goes on from what it has seen."""

from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.audit.objects.checkpoint import Checkpoint
from store.audit.objects.layout import Malformed
from store.audit.objects.merkle import EMPTY_ROOT, consistency_proof, leaf_hashes, span_of
from store.audit.objects.notes import COSIGNATURE, SecretKey, Signer, cosigned_at, read_signatures, sign
from store.audit.signing.witness import SIZE_TYPE, Answer, Request, Seen, Witness, read_request
from tests.audit.scenes import KEY, ORIGIN

SECRET = SecretKey("witness.example/w1", bytes(range(32)), COSIGNATURE)
NOW = 1_800_000_000
LEAVES = leaf_hashes(str(each).encode() for each in range(64))
FORK = leaf_hashes(f"fork {each}".encode() for each in range(64))


class Notebook:
    """A memory of a test (Memory)."""

    def __init__(self) -> None:
        self.seen: dict[str, tuple[int, bytes]] = {}
        self.broken = False

    def get(self, origin: str) -> tuple[int, bytes] | None:
        """What was put last."""
        return self.seen.get(origin)

    def put(self, origin: str, seen: tuple[int, bytes]) -> None:
        """Keep it, or fail."""
        if self.broken:
            raise OSError("no space")
        self.seen[origin] = seen


def new_witness(memory: Notebook | None = None) -> Witness:
    """A witness that believes KEY."""
    return Witness(SECRET, [KEY.key], Notebook() if memory is None else memory)


def request(
    old: int, size: int, leaves: list[bytes] = LEAVES, *, signers: tuple[Signer, ...] = (KEY,), origin: str = ORIGIN
) -> Request:
    """A checkpoint of the first `size` leaves, and the proof from `old`."""
    checkpoint = Checkpoint(origin, size, span_of(0, leaves[:size]).root())
    proof = consistency_proof(span_of(0, leaves[:old]), span_of(old, leaves[old:size])) if old <= size else []
    return Request(old, tuple(proof), checkpoint, sign(checkpoint.text, signers))


def ask(witness: Witness, said: Request) -> Answer:
    """The witness's answer."""
    return witness.add_checkpoint(said.encode(), now=NOW)


def test_what_goes_on_is_cosigned() -> None:
    """From nothing, from what was seen, and the same once more; the cosignature holds and says when."""
    witness = new_witness()
    for old, size in ((0, 5), (5, 5), (5, 13), (13, 64)):
        said = request(old, size)
        answer = ask(witness, said)
        assert answer.status == HTTPStatus.OK, answer
        (signature,) = read_signatures(answer.body)
        assert SECRET.key.holds(said.checkpoint.text, signature.signature)
        assert cosigned_at(signature.signature) == NOW


def test_an_empty_tree_is_cosigned_too() -> None:
    """With the one root that it has."""
    assert ask(new_witness(), request(0, 0)).status == HTTPStatus.OK
    wrong = Checkpoint(ORIGIN, 0, LEAVES[0])
    answer = ask(new_witness(), Request(0, (), wrong, sign(wrong.text, [KEY])))
    assert answer.status == HTTPStatus.UNPROCESSABLE_ENTITY


def test_what_was_seen_otherwise_is_a_conflict() -> None:
    """The answer says which size was cosigned last."""
    witness = new_witness()
    ask(witness, request(0, 13))
    for said in (request(0, 20), request(5, 20), request(14, 20), request(0, 5), request(13, 13, FORK)):
        answer = ask(witness, said)
        assert (answer.status, answer.body, answer.media_type) == (HTTPStatus.CONFLICT, "13\n", SIZE_TYPE)


def test_another_history_is_never_cosigned() -> None:
    """Whoever signed it: its proof does not hold."""
    memory = Notebook()
    witness = new_witness(memory)
    ask(witness, request(0, 13))
    for said in (request(13, 20, FORK), Request(13, (), *_parts(request(13, 20)))):
        assert ask(witness, said).status == HTTPStatus.UNPROCESSABLE_ENTITY
    assert ask(new_witness(), Request(0, (EMPTY_ROOT,), *_parts(request(0, 5)))).status == (
        HTTPStatus.UNPROCESSABLE_ENTITY
    )
    assert memory.seen[ORIGIN] == Seen(13, span_of(0, LEAVES[:13]).root())


def _parts(said: Request) -> tuple:
    return said.checkpoint, said.note


def test_an_old_size_past_the_checkpoints_is_a_bad_request() -> None:
    """Before anything is looked up."""
    assert ask(new_witness(), request(9, 5)).status == HTTPStatus.BAD_REQUEST


def test_only_known_logs_are_cosigned() -> None:
    """404 for an unknown origin, 403 where no known key has signed, or one's signature is forged."""
    stranger = SecretKey(ORIGIN, bytes(32))
    other = SecretKey("example.com/other", bytes(32))
    witness = new_witness()
    assert ask(witness, request(0, 5, origin="example.com/other", signers=(other,))).status == HTTPStatus.NOT_FOUND
    assert ask(witness, request(0, 5, signers=(stranger,))).status == HTTPStatus.FORBIDDEN
    forged = Request(0, (), request(0, 5).checkpoint, request(0, 6).note)
    note = request(0, 5, signers=(stranger,)).note.joined(forged.note.signatures)
    assert ask(witness, Request(0, (), forged.checkpoint, note)).status == HTTPStatus.FORBIDDEN
    assert ask(witness, request(0, 5, signers=(stranger, KEY))).status == HTTPStatus.OK


def test_keys_of_a_log_may_be_added_while_it_runs() -> None:
    """As when a log's key is rotated; until then both sign, and the old one is enough."""
    following = SecretKey(ORIGIN, bytes(range(1, 33)))
    witness = new_witness()
    assert ask(witness, request(0, 5, signers=(following,))).status == HTTPStatus.FORBIDDEN
    assert ask(witness, request(0, 4, signers=(following, KEY))).status == HTTPStatus.OK
    witness.believe([KEY.key, following.key])
    assert ask(witness, request(4, 5, signers=(following,))).status == HTTPStatus.OK
    assert ask(witness, request(5, 6)).status == HTTPStatus.OK


def test_logs_are_remembered_apart() -> None:
    """What one has grown to says nothing of another."""
    other = SecretKey("example.com/other", bytes(32))
    witness = Witness(SECRET, [KEY.key, other.key], Notebook())
    assert ask(witness, request(0, 13)).status == HTTPStatus.OK
    assert ask(witness, request(0, 5, FORK, origin="example.com/other", signers=(other,))).status == HTTPStatus.OK


def test_nothing_is_answered_before_it_is_durable() -> None:
    """Where that fails, no cosignature leaves."""
    memory = Notebook()
    witness = new_witness(memory)
    memory.broken = True
    with pytest.raises(OSError, match="no space"):
        ask(witness, request(0, 5))


GOOD = request(5, 13).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"old 5\n",
        GOOD.replace(b"old 5", b"old 05"),
        GOOD.replace(b"old 5", b"new 5"),
        GOOD.replace(b"old 5\n", b"old 5\n" + b"A" * 43 + b"=\n" * 64),
        GOOD.replace(b"old 5\n", b"old 5\nAAAA\n"),
        GOOD.replace(b"old 5", b"old \xff"),
        GOOD[: GOOD.index(b"\n\n") + 2],
        b"x" * (1 << 17),
    ],
)
def test_what_is_no_request_is_a_bad_one(data: bytes) -> None:
    """The answer says what was expected."""
    with pytest.raises(Malformed):
        read_request(data)
    assert new_witness().add_checkpoint(data, now=NOW).status == HTTPStatus.BAD_REQUEST


def test_a_request_is_read_back() -> None:
    """As it was sent."""
    assert read_request(GOOD) == request(5, 13)


steps = st.lists(st.tuples(st.integers(0, 64), st.integers(0, 64), st.booleans(), st.booleans()), max_size=12)


@given(steps)
def test_whatever_is_asked_only_one_history_is_cosigned(asked: list[tuple[int, int, bool, bool]]) -> None:
    """Sizes never fall, and each cosigned checkpoint begins with the one before."""
    witness = new_witness()
    cosigned: list[tuple[int, bytes]] = []
    for old, size, fork, honest in asked:
        begun = cosigned[-1][0] if honest and cosigned else old
        said = request(begun, size, FORK if fork else LEAVES)
        if ask(witness, said).status == HTTPStatus.OK:
            cosigned.append((said.checkpoint.size, said.checkpoint.root))
    assert [size for size, _ in cosigned] == sorted(size for size, _ in cosigned)
    grown = [each for each in cosigned if each[0]]
    assert any(all(root == span_of(0, leaves[:size]).root() for size, root in grown) for leaves in (LEAVES, FORK))


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_a_changed_byte_is_never_cosigned_as_something_else(place: int, change: int) -> None:
    """The request is refused, or what is cosigned is the very checkpoint that the log signed."""
    changed = bytearray(GOOD)
    changed[place] ^= change
    memory = Notebook()
    witness = new_witness(memory)
    ask(witness, request(0, 5))
    if witness.add_checkpoint(bytes(changed), now=NOW).status == HTTPStatus.OK:
        assert memory.seen[ORIGIN] == Seen(13, span_of(0, LEAVES[:13]).root())
