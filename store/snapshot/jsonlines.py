"""A snapshot as JSON Lines: for people, for other programs, and for carrying it across. FORMAT.md is its page.

    {"snapshot_lines": 1, "offset": 7, …, "tables": [{"name": "accounts", "columns": ["id", "owner"], …}]}
    {"table": "accounts", "row": [1, "ada"]}
    {"system": "…"}
    {"end": {"lines": 3, "rows": 1, "fingerprint": "…", "sha256": "…"}}

Laws: it says all that the snapshot says, with the same fingerprint; what is read back is that, or is refused. A line
that was cut, altered, left out or moved does not add up to the last one.
"""

import base64
import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import msgspec

from store.codec import UNSTORABLE, RowCodec, row_struct
from store.errors import CorruptionError, DirectoryError
from store.ids import Epoch, Key, Offset, TableId, Timestamp
from store.schema import EMPTY_SCHEMA, Schema, TableSchema
from store.snapshot.format import (
    HINT,
    Manifest,
    TableContent,
    content_of,
    fingerprint_of,
    manifest_file,
    snapshot_name,
)
from store.snapshot.repository import Repository
from store.snapshot.rows import read_schema
from store.values import dec_hook, enc_hook

LINES_VERSION: Final = 1
LINE_SIZE_MAX: Final = 16 << 20
"""Bytes of one line: a row of ROW_SIZE_MAX in its longest JSON form, and to spare."""
_SYSTEM_PIECE: Final = 1 << 20
_NUMBER_MAX: Final = 2**53 - 1
"""Integers beyond it are decimal strings, since JSON's readers round them."""

Progress = Callable[[int, int], None]
"""Told (rows done, rows in all)."""


class _Table(msgspec.Struct, frozen=True):
    table: TableId
    name: str
    columns: tuple[str, ...]
    rows: int
    next_key: int


class _Head(msgspec.Struct, frozen=True):
    snapshot_lines: int
    store: str
    epoch: str
    offset: Offset
    timestamp: Timestamp
    taken: Timestamp
    chain: str
    schema: str
    tables: tuple[_Table, ...]


class _End(msgspec.Struct, frozen=True):
    lines: int
    """How many came before this one."""
    rows: int
    fingerprint: str
    sha256: str
    """Of all lines before this one, line feeds included."""


class _Line(msgspec.Struct, frozen=True):
    """Any line but the first: one of these is there, a row with its table."""

    table: str | None = None
    row: msgspec.Raw = msgspec.Raw()
    system: str | None = None
    end: _End | None = None


_encode: Final = msgspec.json.Encoder(enc_hook=enc_hook, decimal_format="string").encode
_decode_head: Final = msgspec.json.Decoder(_Head).decode
_decode_line: Final = msgspec.json.Decoder(_Line).decode
_decode_schema: Final = msgspec.msgpack.Decoder(Schema).decode
_DIGITS_MAX: Final = 20
"""Of a 64-bit integer, with its sign."""
_READ_ERRORS: Final = (*UNSTORABLE, KeyError)


def export_lines(repository: Repository, manifest: Manifest, progress: Progress | None = None) -> Iterator[bytes]:
    """A snapshot, line by line. CorruptionError or FileNotFoundError: a block does not hold."""
    digest, count, rows = hashlib.sha256(), 0, 0
    for line in _lines(repository, manifest):
        digest.update(line)
        count += 1
        yield line
        if line.startswith(b'{"table"'):
            rows += 1
            if progress is not None and rows % 10_000 == 0:
                progress(rows, manifest.rows)
    if progress is not None:
        progress(rows, manifest.rows)
    end = _End(lines=count, rows=rows, fingerprint=manifest.fingerprint, sha256=digest.hexdigest())
    yield _encode({"end": end}) + b"\n"


def _lines(repository: Repository, manifest: Manifest) -> Iterator[bytes]:
    schemas = {each.id: each for each in read_schema(manifest).tables}
    for each in manifest.tables:
        if each.table not in schemas:
            raise _contradiction(manifest, f"expected table {each.table}, {each.name!r}, in the schema, found none")
    tables = tuple(
        _Table(each.table, each.name, tuple(it.name for it in schemas[each.table].columns), each.rows, each.next_key)
        for each in manifest.tables
    )
    head = _Head(
        snapshot_lines=LINES_VERSION,
        store=manifest.store.hex(),
        epoch=manifest.epoch.hex(),
        offset=manifest.offset,
        timestamp=manifest.timestamp,
        taken=manifest.taken,
        chain=manifest.chain.hex(),
        schema=base64.b64encode(manifest.schema).decode(),
        tables=tables,
    )
    yield _encode(head) + b"\n"
    for content in manifest.tables:
        codec: RowCodec[Any] = _codec(schemas[content.table])
        begin = b'{"table":%b,"row":' % _encode(content.name)
        for ref in content.blocks:
            for row in repository.block(ref)[1]:
                try:
                    line = _row_as_json(codec, row)
                except UNSTORABLE as error:
                    raise _contradiction(
                        manifest, f"rows of block {ref.file} do not fit its schema ({error})"
                    ) from None
                yield begin + line + b"}\n"
    system = repository.system(manifest)
    for place in range(0, len(system), _SYSTEM_PIECE):
        yield _encode({"system": system[place : place + _SYSTEM_PIECE]}) + b"\n"


def import_lines(
    lines: Iterable[bytes],
    repository: Repository,
    *,
    block_size: int,
    progress: Progress | None = None,
    accept: Callable[[Manifest], object] | None = None,
) -> Manifest:
    """Write the snapshot that these lines are, and return it. The caller holds the lock of `snapshot/`.

    `accept` looks at it when its blocks are there and its manifest is not: what it raises keeps that from coming.
    CorruptionError: they do not add up; `position` is the number of the line. DirectoryError: they are of a newer
    version. Blocks may be left over then, but no manifest.
    """
    manifest = _Import(repository, block_size, progress).read(lines)
    if accept is not None:
        accept(manifest)
    repository.put_manifest(manifest)
    return manifest


class _Import:
    """What was read so far."""

    def __init__(self, repository: Repository, block_size: int, progress: Progress | None) -> None:
        self._repository: Final = repository
        self._block_size: Final = block_size
        self._progress: Final = progress
        self._digest: Final = hashlib.sha256()
        self._number = 0
        self._rows = 0
        self._schema = EMPTY_SCHEMA
        self._waiting: list[_Table] = []
        self._system: Final[list[bytes]] = []
        self._tables: Final[list[TableContent]] = []
        self._writing: _TableWriter | None = None

    def read(self, lines: Iterable[bytes]) -> Manifest:
        """Every line, to the last."""
        head: _Head | None = None
        end: _End | None = None
        for line in lines:
            self._number += 1
            if end is not None:
                raise self._refuse("expected nothing behind the last line")
            if len(line) > LINE_SIZE_MAX or not line.endswith(b"\n"):
                raise self._refuse(f"expected a line of at most {LINE_SIZE_MAX} bytes that ends in a line feed")
            try:
                if head is None:
                    head = self._begin(line)
                else:
                    end = self._take(head, _decode_line(line))
            except _READ_ERRORS as error:
                raise self._refuse(f"expected a line of a snapshot ({error})") from None
            if end is None:
                self._digest.update(line)
        if head is None or end is None:
            raise self._refuse("expected a last line with the end, found none: the lines were cut")
        return self._finish(head, end)

    def _begin(self, line: bytes) -> _Head:
        head = _decode_head(line)
        if head.snapshot_lines != LINES_VERSION:
            raise DirectoryError(
                f"these lines are of version {head.snapshot_lines}, this store reads up to {LINES_VERSION}",
                hint="Use the newer version of the store",
            )
        self._schema = _decode_schema(base64.b64decode(head.schema, validate=True))
        self._waiting = list(reversed(head.tables))
        return head

    def _take(self, head: _Head, line: _Line) -> _End | None:
        if line.row and line.table is not None:
            self._take_row(line.table, line.row)
            self._rows += 1
            if self._progress is not None and self._rows % 10_000 == 0:
                self._progress(self._rows, sum(each.rows for each in head.tables))
        elif line.system is not None:
            self._system.append(base64.b64decode(line.system, validate=True))
        elif line.end is not None:
            return line.end
        else:
            raise ValueError("a row with its table, a piece of the system, or the end")
        return None

    def _take_row(self, table: str, row: msgspec.Raw) -> None:
        while self._writing is None or self._writing.table.name != table:
            self._next_table()
        assert self._writing is not None
        self._writing.take(row)

    def _next_table(self) -> None:
        if self._writing is not None:
            self._tables.append(self._writing.finish())
            self._writing = None
        if not self._waiting:
            raise ValueError("the rows of a table that the head names, in its order")
        table = self._waiting.pop()
        schema = next((each for each in self._schema.tables if each.id == table.table), None)
        if schema is None or schema.name != table.name:
            raise ValueError(f"a schema with table {table.table}, {table.name}")
        self._writing = _TableWriter(self._repository, table, schema, self._block_size)

    def _finish(self, head: _Head, end: _End) -> Manifest:
        try:
            while self._waiting:
                self._next_table()
        except _READ_ERRORS as error:
            raise self._refuse(f"expected the tables of a snapshot ({error})") from None
        if self._writing is not None:
            self._tables.append(self._writing.finish())
        if (end.sha256, end.lines, end.rows) != (self._digest.hexdigest(), self._number - 1, self._rows):
            raise self._refuse(f"expected {end.lines} lines with SHA-256 {end.sha256:.64}")
        if [each.rows for each in self._tables] != [each.rows for each in head.tables]:
            raise self._refuse("expected as many rows of each table as the first line says")
        fingerprint = fingerprint_of(self._tables)
        if fingerprint != end.fingerprint:
            raise self._refuse(f"expected the fingerprint {end.fingerprint:.64}, found {fingerprint}")
        system = self._repository.put_system(b"".join(self._system))
        try:
            return Manifest(
                store=Epoch(bytes.fromhex(head.store)),
                epoch=Epoch(bytes.fromhex(head.epoch)),
                offset=head.offset,
                timestamp=head.timestamp,
                taken=head.taken,
                chain=bytes.fromhex(head.chain),
                schema=base64.b64decode(head.schema),
                tables=tuple(self._tables),
                system=system,
                fingerprint=fingerprint,
                content=content_of(self._tables, system),
            )
        except _READ_ERRORS as error:
            raise self._refuse(f"expected a first line of a snapshot ({error})") from None

    def _refuse(self, message: str) -> CorruptionError:
        hint = "Export the snapshot again"
        return CorruptionError(message, file=f"line {self._number}", position=0, hint=hint)


class _TableWriter:
    """Makes one table's blocks of its rows as they come."""

    def __init__(self, repository: Repository, table: _Table, schema: TableSchema, block_size: int) -> None:
        self.table: Final = table
        self._repository: Final = repository
        self._block_size: Final = block_size
        self._codec: Final = _codec(schema)
        self._read: Final = msgspec.json.Decoder(self._codec.row_type, dec_hook=dec_hook).decode
        self._read_spelled: Final = msgspec.json.Decoder(_spelled_type(schema), dec_hook=dec_hook).decode
        self._int_columns: Final = [each.name for each in schema.columns if each.type in _SPELLED]
        self._keys: list[Key] = []
        self._rows: list[bytes] = []
        self._size = 0
        self._last: Any = None
        self._blocks: Final[list[Any]] = []

    def take(self, raw: msgspec.Raw) -> None:
        """One row. ValueError where it is none of this table, or does not come behind the one before."""
        try:
            read = self._read(raw)
        except msgspec.ValidationError:  # A large integer is spelled: rare, so it is asked second.
            spelled = self._read_spelled(raw)
            values = {name: _unspell(getattr(spelled, name)) for name in self._int_columns}
            fields = {name: getattr(spelled, name) for name in spelled.__struct_fields__}
            read = self._codec.row_type(**{**fields, **values})
        row, data = self._codec.canonical(read)
        key = self._codec.key(row)
        if self._last is not None and not self._last < key:
            raise ValueError(f"rows of {self.table.name} by rising key, not {key!r:.80} behind {self._last!r:.80}")
        self._last = key
        self._keys.append(key)
        self._rows.append(data)
        self._size += len(data)
        if self._size >= self._block_size:
            self._flush()

    def finish(self) -> TableContent:
        """The table's blocks."""
        if self._keys:
            self._flush()
        rows = sum(each.rows for each in self._blocks)
        return TableContent(self.table.table, self.table.name, rows, self.table.next_key, tuple(self._blocks))

    def _flush(self) -> None:
        self._blocks.append(self._repository.put_block(self._keys, self._rows, self.table.table))
        self._keys, self._rows, self._size = [], [], 0


def _contradiction(manifest: Manifest, found: str) -> CorruptionError:
    """A snapshot whose files hold by themselves, and yet do not belong together."""
    return CorruptionError(found, file=manifest_file(snapshot_name(manifest.offset)), position=0, hint=HINT)


_SPELLED: Final[dict[str, Any]] = {"int": int | str, "int[]": tuple[int | str, ...]}
"""Columns whose numbers may stand there as text."""


def _spelled_type(table: TableSchema) -> Any:
    """A row as a line may spell it. Only its integers may be text: no other column is read any less strictly."""
    plain = row_struct(table)
    hints = {each.name: each.type for each in msgspec.structs.fields(plain)}
    for each in table.columns:
        if each.type in _SPELLED:
            hints[each.name] = _SPELLED[each.type] | None if each.nullable else _SPELLED[each.type]
    return msgspec.defstruct(table.name, list(hints.items()), array_like=True, kw_only=True)


def _unspell(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_unspell(each) for each in value)
    if not isinstance(value, str):
        return value
    if len(value) > _DIGITS_MAX or str(int(value)) != value:
        raise ValueError(f"an integer as a decimal string, not {value:.80}")
    return int(value)


def _codec(table: TableSchema) -> RowCodec[Any]:
    return RowCodec(table, row_struct(table))


def _row_as_json(codec: RowCodec[Any], row: bytes) -> bytes:
    """A row as a JSON array; one that may hold a large integer is looked through for it."""
    read = codec.decode(row)
    if b"\xcf" in row or b"\xd3" in row:  # The lead bytes of 64-bit integers in MessagePack.
        return _encode([_spell(each) for each in msgspec.structs.astuple(read)])
    return _encode(read)


def _spell(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_spell(each) for each in value]
    large = type(value) is int and not -_NUMBER_MAX <= value <= _NUMBER_MAX
    return str(value) if large else value
