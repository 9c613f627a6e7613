"""What a schema says of the rows in a block: which of their columns is the key.

Laws: a block's keys are a copy of what its rows hold, kept so that loading decodes no row; a deep check compares both.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from store.codec import UNSTORABLE, array_header
from store.errors import CorruptionError
from store.ids import Key
from store.schema import Schema
from store.snapshot.format import HINT, Manifest, TableContent, manifest_file, snapshot_name

_decode_schema: Final = msgspec.msgpack.Decoder(Schema).decode


def read_schema(manifest: Manifest) -> Schema:
    """The schema that a manifest holds. CorruptionError where it is none."""
    try:
        return _decode_schema(manifest.schema)
    except UNSTORABLE as error:
        raise _contradiction(manifest, f"expected a schema ({error})") from None


class KeyReader:
    """The keys of one table's rows, by the rows themselves."""

    def __init__(self, manifest: Manifest, schema: Schema, content: TableContent) -> None:
        """CorruptionError where the schema has no such table, or no key in it."""
        table = next((each for each in schema.tables if each.id == content.table), None)
        place = -1
        if table is not None:
            place = next((at for at, each in enumerate(table.columns) if each.id == table.primary_key), -1)
        if table is None or place < 0 or table.name != content.name:
            found = "none" if table is None else repr(table.name)
            raise _contradiction(
                manifest, f"expected table {content.table}, {content.name!r}, in the schema, found {found}"
            )
        # Columns behind the key are passed over unread; those before it stay raw.
        fields: list[tuple[str, Any]] = [(f"_{at}", msgspec.Raw) for at in range(place)]
        row_type = msgspec.defstruct("_Row", [*fields, ("key", Any)], array_like=True, frozen=True, gc=False)
        self._decode: Final[Any] = msgspec.msgpack.Decoder(list[row_type]).decode  # type: ignore[valid-type]  # Made above.

    def compare(self, keys: Sequence[Key], rows: Sequence[bytes], *, file: str) -> None:
        """CorruptionError where a row is none of this table, or lies under a key that is not its own."""
        try:
            found = self._decode(array_header(len(rows)) + b"".join(rows))
        except UNSTORABLE as error:
            raise CorruptionError(f"expected rows with a key ({error})", file=file, position=0, hint=HINT) from None
        for key, row in zip(keys, found, strict=True):
            if key != row.key or type(key) is not type(row.key):
                raise CorruptionError(
                    f"expected a row under its own key, found {row.key!r:.80} under {key!r:.80}",
                    file=file,
                    position=0,
                    hint=HINT,
                )


def _contradiction(manifest: Manifest, message: str) -> CorruptionError:
    file = manifest_file(snapshot_name(manifest.offset))
    return CorruptionError(message, file=file, position=0, hint=HINT)
