"""What a schema says of the rows in a block."""

import msgspec
import pytest

from store.env.memory import MemoryDisk
from store.errors import CorruptionError
from store.ids import ColumnId, TableId
from store.snapshot.rows import KeyReader, read_schema
from store.values import encode
from tests.snapshot.scenes import disk_with_one, row, sample, schema_of, table_of

FILE = "block/some.blk"
MANIFEST = sample(MemoryDisk())
SCHEMA = read_schema(MANIFEST)


def reader(place: int = 0) -> KeyReader:
    """For one of the three tables."""
    return KeyReader(MANIFEST, SCHEMA, MANIFEST.tables[place])


def test_the_schema_of_a_manifest_is_read() -> None:
    """As it was logged."""
    assert SCHEMA.tables[0] == schema_of(1, "table_1", value="str", key="int")
    assert [each.name for each in read_schema(disk_with_one()[1]).tables] == ["numbers", "words"]


@pytest.mark.parametrize("schema", [b"", b"\xc0", b"\x92\x01\x91\x91", b"\x91" * 10_000])
def test_a_schema_that_cannot_be_read_is_corruption(schema: bytes) -> None:
    """It names the manifest."""
    with pytest.raises(CorruptionError, match=r"snapshot/00000000000000000007\.json"):
        read_schema(msgspec.structs.replace(MANIFEST, schema=schema))


def test_rows_under_their_own_keys_pass() -> None:
    """Wherever in the row the key is, and of each type."""
    reader(0).compare(list(table_of(9)), list(table_of(9).values()), file=FILE)
    reader(1).compare(["a", "b"], [row("a"), row("b")], file=FILE)
    reader(2).compare([b"a"], [row(b"a")], file=FILE)


@pytest.mark.parametrize(
    "data",
    [
        row(8),
        row("7"),
        row(b"7"),
        encode(["value", True]),
        encode(["value"]),
        encode([]),
        encode({"key": 7}),
        b"",
        b"\x92",
    ],
)
def test_a_row_that_has_another_key_or_none_is_corruption(data: bytes) -> None:
    """It names the block."""
    with pytest.raises(CorruptionError, match=FILE):
        reader().compare([7], [data], file=FILE)


def test_a_key_of_another_type_is_another_key() -> None:
    """True is not 1, as little in a row as among the keys."""
    with pytest.raises(CorruptionError, match="found True under 1"):
        reader().compare([1], [encode(["value", True])], file=FILE)


def test_a_table_that_the_schema_does_not_have_is_corruption() -> None:
    """Neither by its id, nor under that name, nor with such a key."""
    table = MANIFEST.tables[0]
    for wrong in (
        msgspec.structs.replace(table, table=TableId(9)),
        msgspec.structs.replace(table, name="other"),
    ):
        with pytest.raises(CorruptionError, match="in the schema"):
            KeyReader(MANIFEST, SCHEMA, wrong)
    keyless = msgspec.structs.replace(SCHEMA.tables[0], primary_key=ColumnId(9))
    with pytest.raises(CorruptionError, match="in the schema"):
        KeyReader(MANIFEST, msgspec.structs.replace(SCHEMA, tables=(keyless,)), table)
