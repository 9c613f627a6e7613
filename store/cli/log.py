"""`store log`: what the commitlog holds, and whether it holds. Nothing here writes."""

import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from store.cli.arguments import ConfigFile, configure
from store.cli.directories import look_at
from store.cli.domains import load_domain
from store.cli.exits import Exit
from store.cli.log_verdict import Verdict, inspect_log, rerun, was_copied
from store.cli.output import JsonFlag, note, plain_of, print_json, show_value, shown, stdout, to_plain
from store.cli.progress import Phases
from store.engine.acts import person_of
from store.engine.identity import Identity, decode_identity
from store.engine.loading import read_schema, read_system
from store.engine.recovery import records
from store.engine.state import decode_schema
from store.env.posix import PosixDisk
from store.errors import ConfigError, CorruptionError
from store.ids import Offset
from store.log.format import FIRST_OFFSET
from store.log.reader import LogReader
from store.log.segment import segment_offsets
from store.schema import EMPTY_SCHEMA, Schema
from store.snapshot.repository import Repository
from store.transaction import Kind, Op, Transaction

log_app = typer.Typer(no_args_is_help=True, help="Look into a commitlog.", rich_markup_mode=None)

ReExecute = Annotated[
    bool, typer.Option("--re-execute", help="Run the reducers again on what was logged, and compare.")
]
Directory = Annotated[Path, typer.Argument(help="The data directory; it may be in use.")]


@log_app.command()
def dump(
    directory: Directory,
    from_: Annotated[int, typer.Option("--from", min=1, help="The first offset.")] = 1,
    to: Annotated[int | None, typer.Option(min=1, help="The last offset.  [default: the end]")] = None,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Print every transaction: a line each, or with --json an object each with all it holds."""
    if to is not None and to < from_:
        raise ConfigError(f"--to is at least --from, found {to} below {from_}")
    through = None if to is None else Offset(to)
    disk = look_at(directory, half_made=True)
    names = _Names()
    start = names.begin(disk, Offset(from_))
    if start > from_ and start > FIRST_OFFSET:
        note(f"the log begins at offset {start}: what came before is in snapshots alone")
    reader = LogReader(disk, from_offset=start, through=through, copied=was_copied(disk))
    for batch in reader:  # Before the first to be shown, records may name tables and columns.
        for transaction, _ in records(batch):
            names.learn(transaction)
            if from_ <= transaction.offset <= (to or transaction.offset):
                if json:
                    print_json(_object(transaction, names))
                else:
                    stdout.print(_text(transaction, names), markup=False, soft_wrap=True)
    if reader.tail is not None and reader.tail.torn_bytes:
        note(f"torn tail: {reader.tail.torn_bytes} bytes behind offset {reader.tail.last_offset}: {reader.tail.torn}")


@log_app.command()
def verify(
    directory: Directory,
    re_execute: ReExecute = False,  # noqa: FBT002  # A flag.
    domain: Annotated[
        list[str] | None, typer.Option(help="A module of reducers for --re-execute; may be repeated.  [tenant.domains]")
    ] = None,
    config: ConfigFile = None,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Check every byte: checksums, chain, gaps.

    The exit code says what is wrong: 0 nothing, 3 a torn tail (the next start cuts it), 4 corruption, 5 a gap,
    6 no log, 7 unreadable; with --re-execute 1 where a reducer came out otherwise.
    """
    loaded = None
    options = configure(config, tenant__domains=domain)
    if re_execute:
        loaded = load_domain(options.tenant.domains)
    began = time.monotonic()
    with Phases(json=json, quiet=True) as phases:
        verdict = inspect_log(directory, phases.only("verifying"))
        if loaded is not None and verdict.whole:
            verdict = rerun(directory, loaded, options.engine, verdict, phases.only("running again"))
    verdict = msgspec.structs.replace(verdict, seconds=round(time.monotonic() - began, 3))
    if json:
        print_json(verdict)
    else:
        _print_verdict(verdict)
    raise typer.Exit(verdict.exit)


def _print_verdict(verdict: Verdict) -> None:
    style = {Exit.DONE: "bold green", Exit.TORN_TAIL: "bold yellow"}.get(Exit(verdict.exit), "bold red")
    stdout.print(verdict.verdict.replace("_", " "), style=style, end="")
    stdout.print(f": {verdict.message}" if verdict.message else "", markup=False, soft_wrap=True)
    stdout.print(
        f"  {verdict.transactions:,} transactions in {verdict.batches:,} batches and {verdict.segments} segments, "
        f"{verdict.bytes:,} bytes, through offset {verdict.last_offset} (proven durable: {verdict.proven_offset}), "
        f"{verdict.seconds:.2f} s",
        soft_wrap=True,
    )
    if verdict.calls is not None:
        stdout.print(
            f"  {verdict.calls:,} calls run again, {verdict.skipped} cut off by time and skipped, "
            f"{verdict.different} came out otherwise; fingerprint {verdict.fingerprint}",
            soft_wrap=True,
        )
        for each in verdict.differences:
            stdout.print(f"  offset {each.offset}, {each.reducer}: {each.what} differ", markup=False, soft_wrap=True)
    if not verdict.whole or verdict.base is not None:
        _print_recoverable(verdict)
    if verdict.hint:
        stdout.print(f"  → {verdict.hint}", markup=False, soft_wrap=True)


def _print_recoverable(verdict: Verdict) -> None:
    for each in verdict.recoverable:
        base = f"snapshot {each.base}" if each.base else "the start of the log"
        said = f"offsets {each.first} to {each.last}, {each.first_time} to {each.last_time}, from {base}"
        stdout.print(f"  restorable: {said}", markup=False, soft_wrap=True)
    if not verdict.recoverable:
        stdout.print("  restorable: nothing", markup=False, soft_wrap=True)


class _Names:
    """What tables, columns and identities are called, as far as the log has said."""

    def __init__(self) -> None:
        self.schema: Schema = EMPTY_SCHEMA
        self.identities: dict[int, Identity] = {}

    def begin(self, disk: PosixDisk, offset: Offset) -> Offset:
        """Learn from the newest snapshot before `offset`, and return where to read on: without one, the log's start."""
        first = next(iter(segment_offsets(disk)), FIRST_OFFSET)
        repository = Repository(disk)
        for manifest in repository.whole()[0]:
            if not first - 1 <= manifest.offset < max(offset, first):
                continue
            with suppress(CorruptionError, FileNotFoundError):
                system = read_system(repository, manifest)
                self.schema = read_schema(manifest)
                self.identities.update(system.identities)
                return Offset(manifest.offset + 1)
        return first

    def learn(self, transaction: Transaction) -> None:
        """Remember what this transaction names."""
        if transaction.kind == Kind.SCHEMA:
            self.schema = decode_schema(transaction.args)
        elif transaction.kind == Kind.IDENTITY:
            self.identities[transaction.offset] = decode_identity(transaction.args)

    def sender(self, transaction: Transaction) -> str:
        """Who called, or asked for an operator's act."""
        identity = self.identities.get(transaction.identity)
        if identity is not None:
            return identity.subject
        person = person_of(transaction.args) if transaction.kind == Kind.ADMIN else None
        return "store" if person is None else person[1]

    def writes(self, transaction: Transaction) -> Iterator[dict[str, Any]]:
        """The write set by table and column names."""
        tables = {table.id: table for table in self.schema.tables}
        for table_id, op, key, before, after in transaction.writes:
            table = tables.get(table_id)
            columns = None if table is None else [column.name for column in table.columns]
            yield {
                "table": table_id if table is None else table.name,
                "op": Op(op).name.lower(),
                "key": to_plain(key),
                "before": _row(before, columns),
                "after": _row(after, columns),
            }


def _row(data: bytes | None, columns: list[str] | None) -> Any:
    if data is None:
        return None
    values = plain_of(data)
    return values if columns is None else dict(zip(columns, values, strict=False))


def _object(transaction: Transaction, names: _Names) -> dict[str, Any]:
    key = transaction.call_key
    return {
        "offset": transaction.offset,
        "kind": Kind(transaction.kind).name.lower(),
        "timestamp": _time(transaction),
        "sender": names.sender(transaction),
        "identity": transaction.identity,
        "connection": transaction.connection,
        "source": transaction.source,
        "call_key": None if key is None else {"client": key[0], "sequence": key[1], "acknowledged": key[2]},
        "schema_version": transaction.schema_version,
        "reducer": transaction.reducer,
        "args": plain_of(transaction.args),
        "outcome": transaction.outcome or "committed",
        "value": plain_of(transaction.value),
        "writes": list(names.writes(transaction)),
    }


def _text(transaction: Transaction, names: _Names) -> str:
    """One line: what happened, by whom, and what it changed."""
    kind = Kind(transaction.kind).name.lower().replace("_", " ")
    what = f"{kind} {transaction.reducer}".rstrip()
    if transaction.kind in {Kind.CALL, Kind.FAILED_CALL}:
        args = plain_of(transaction.args)
        listed = ", ".join(map(show_value, args)) if isinstance(args, list) else show_value(args)
        what = f"{transaction.reducer}({_short(listed)})"
    elif transaction.kind == Kind.ADMIN:
        what = f"{what}{_act(transaction.args)}"
    outcome = f" → {transaction.outcome}" if transaction.outcome else ""
    writes = [f"{each['op']} {each['table']} {show_value(each['key'])}" for each in names.writes(transaction)]
    changed = f": {_short('; '.join(writes))}" if writes else ""
    line = f"{transaction.offset:>10}  {_time(transaction)}  {names.sender(transaction)}  {what}{outcome}{changed}"
    return shown(line)


def _act(data: bytes) -> str:
    """What an operator's act was about, in short: plain values, without what the line or a number says better."""
    args = plain_of(data)
    content = args[0] if isinstance(args, list) and args and isinstance(args[0], dict) else {}
    listed = [
        f"{name} {show_value(value)}"
        for name, value in content.items()
        if name not in {"id", "at"} and value not in ("", None) and not isinstance(value, list | dict)
    ]
    return f"({_short(', '.join(listed))})" if listed else ""


def _time(transaction: Transaction) -> str:
    return datetime.fromtimestamp(transaction.timestamp / 1e6, tz=UTC).isoformat(timespec="microseconds")


def _short(text: str, length_max: int = 200) -> str:
    return text if len(text) <= length_max else f"{text[: length_max - 1]}…"
