"""The operator's key opens the data keys that are its own, and nothing shows a secret."""

import base64
from hashlib import sha256

import msgspec
import pytest

from store.backup.encryption import DataKey
from store.backup.keys import OperatorKey, WrappedKey, new_data_key, open_keys, store_key, unwrap, wrap
from store.backup.layout import key_object
from store.env.memory import SeededEntropy
from store.env.memory_objects import MemoryObjects
from store.errors import ConfigError, CorruptionError, DirectoryError
from store.ids import Timestamp

SECRET = bytes(range(100, 132))
OPERATOR, OTHER = OperatorKey(SECRET), OperatorKey(bytes(32))
STORE = "aa" * 16
DATA = DataKey("0f" * 16, bytes(range(32)), 3)


def wrapped(data: DataKey = DATA, operator: OperatorKey = OPERATOR) -> WrappedKey:
    """A data key as it is stored."""
    return wrap(data, operator, store=STORE, created=Timestamp(5), entropy=SeededEntropy(1))


@pytest.mark.parametrize(
    "text",
    [SECRET.hex().encode(), SECRET.hex().upper().encode() + b"\n", base64.b64encode(SECRET) + b"\n", SECRET],
)
def test_a_key_is_read_in_each_of_its_forms(text: bytes) -> None:
    """Hex digits, base64, raw bytes; the line's end does not matter."""
    assert OperatorKey.read(text) == OPERATOR


def test_a_key_is_written_as_it_is_read() -> None:
    """For a key file."""
    made = OperatorKey.new(SeededEntropy(1))
    assert OperatorKey.read(made.text.encode()) == made


@pytest.mark.parametrize("text", [b"", b"secret", b"secret" * 20, b"secret" + b"g" * 58])
def test_anything_else_is_no_key(text: bytes) -> None:
    """It says what one is, and repeats nothing."""
    with pytest.raises(ConfigError, match="64 hex digits") as raised:
        OperatorKey.read(text)
    assert "secret" not in str(raised.value)


def test_an_id_tells_keys_apart_and_tells_nothing_of_them() -> None:
    """It may be shown; the key is not."""
    assert OPERATOR.id != OTHER.id
    assert OPERATOR.id != sha256(SECRET).hexdigest()[:16]
    assert SECRET.hex() not in repr(OPERATOR)
    assert repr(SECRET)[2:20] not in repr(OPERATOR)


def test_a_wrapped_key_is_unwrapped() -> None:
    """With all that was said of it."""
    said = wrapped()
    key, found = unwrap(msgspec.json.encode(said), OPERATOR, name=key_object(DATA.id, OPERATOR.id))
    assert (key, found) == (DATA, said)
    assert DATA.secret.hex() not in msgspec.json.encode(said).decode()


@pytest.mark.parametrize(
    "change",
    [
        {"generation": 4},
        {"store": "bb" * 16},
        {"data_key": "ff" * 16},
        {"created": 6},
        {"nonce": "00" * 12},
        {"wrapped": "00" * 48},
        {"wrapped": "no hex"},
        {"nonce": ""},
        {"operator_key": OTHER.id},
    ],
)
def test_what_was_changed_opens_nothing(change: dict[str, object]) -> None:
    """All that is said of the key is bound to it."""
    changed = msgspec.structs.replace(wrapped(), **change)
    name = key_object(DATA.id, OPERATOR.id)
    with pytest.raises(CorruptionError, match=name):
        unwrap(msgspec.json.encode(changed), OPERATOR, name=name)


def test_another_name_opens_nothing() -> None:
    """It was moved."""
    with pytest.raises(CorruptionError, match="moved"):
        unwrap(msgspec.json.encode(wrapped()), OPERATOR, name=key_object("ff" * 16, OPERATOR.id))


def test_a_newer_format_is_refused() -> None:
    """It says so."""
    newer = msgspec.structs.replace(wrapped(), format=2)
    with pytest.raises(DirectoryError, match="format 2"):
        unwrap(msgspec.json.encode(newer), OPERATOR, name=key_object(DATA.id, OPERATOR.id))


def test_all_keys_of_an_operator_are_opened() -> None:
    """By id; those of other operators are passed over."""
    objects = MemoryObjects()
    second = new_data_key(SeededEntropy(7), generation=4)
    for data, operator in ((DATA, OPERATOR), (second, OPERATOR), (second, OTHER)):
        store_key(objects, wrapped(data, operator))
    assert open_keys(objects, OPERATOR, store=STORE) == {DATA.id: DATA, second.id: second}
    assert open_keys(objects, OTHER, store=STORE) == {second.id: second}


def test_no_keys_are_none() -> None:
    """A backup that is not encrypted has none."""
    assert open_keys(MemoryObjects(), OPERATOR, store=STORE) == {}


def test_a_wrong_operators_key_is_told() -> None:
    """With the id of the one it should be."""
    objects = MemoryObjects()
    store_key(objects, wrapped())
    with pytest.raises(DirectoryError, match=f"{OPERATOR.id}.*not under {OTHER.id}"):
        open_keys(objects, OTHER, store=STORE)


def test_a_key_of_another_store_is_refused() -> None:
    """Put there by hand, or by somebody."""
    objects = MemoryObjects()
    store_key(objects, wrapped())
    with pytest.raises(CorruptionError, match="expected a key of the store"):
        open_keys(objects, OPERATOR, store="cc" * 16)
