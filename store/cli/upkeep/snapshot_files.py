"""`store snapshot export` and `import`: a snapshot as JSON Lines, for people, other tools, and the way back.

Laws: both forms have one fingerprint, and what does not add up is refused. A file gets its name when it is whole. What
is imported beside a log is of that log's history, or is refused before anything is written.
"""

import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from store.cli.arguments import ConfigFile, SetOptions, configure
from store.cli.directories import Directory, made_in, tenant_of, work_on
from store.cli.exits import NothingThere
from store.cli.moments import show_bytes, show_moment, to_text
from store.cli.output import JsonFlag, print_json, stdout
from store.cli.progress import Phases
from store.cli.upkeep.acts import note_made, noted
from store.cli.upkeep.catalog import Catalog, choose
from store.cli.upkeep.lease import leased
from store.engine.directory import RESTORING, Restoring, abandon, begin_making, mark
from store.engine.loading import read_system
from store.env.posix import LOCK_NAME, PosixDisk, SystemClock, SystemEntropy
from store.errors import ConfigError, CorruptionError, DirectoryError
from store.ids import Offset
from store.log.commitlog import Commitlog
from store.log.cutting import begin
from store.log.format import SALT_SIZE
from store.log.survey import holds, runs, segments
from store.snapshot.format import SNAPSHOT_FOLDER, Manifest, snapshot_name
from store.snapshot.jsonlines import LINE_SIZE_MAX, export_lines, import_lines
from store.snapshot.repository import Repository
from store.upkeep.evidence import CHECKING_LOG, fingerprint_at

EXPORTING, IMPORTING = "exporting rows", "importing rows"
STDIO: Final = Path("-")
Trust = Annotated[
    bool, typer.Option("--trust", help="Beside a log: also where snapshots and log here cannot tell its rows.")
]


def export(  # Options of a command.
    directory: Directory = None,
    name: Annotated[
        str | None, typer.Argument(help="A snapshot's name, or its offset.  [default: the newest]", show_default=False)
    ] = None,
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="A new file, or - for stdout.")] = STDIO,
    config: ConfigFile = None,
    set_: SetOptions = None,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Write a snapshot as JSON Lines: every row by table, then what of the state is no row, then the sums."""
    options = configure(config, set_, tenant__data=directory)
    if to.exists():
        raise ConfigError(f"{to} exists already", hint="Name a file that does not: nothing is overwritten")
    catalog = Catalog.of(options.tenant.data, options.snapshot)
    lease_s = options.snapshot.lease_s
    with (
        Phases(json=json, aside=to == STDIO) as phases,
        leased(catalog.disk, "export", phases, lease_s=lease_s) as told,
    ):
        entry = choose(catalog, name)
        if entry.manifest is None:
            raise entry.error or NothingThere(f"{entry.name} cannot be read")
        told.hold_from(entry.manifest.offset)
        lines = export_lines(catalog.repository, entry.manifest, lambda done, total: told(EXPORTING, done, total))
        if to == STDIO:
            sys.stdout.buffer.writelines(lines)
            sys.stdout.buffer.flush()
            return
        size = _write(to, lines)
    line = {"event": "exported", "name": entry.name, "to": str(to), "bytes": size, "rows": entry.rows}
    if json:
        print_json({**line, "fingerprint": entry.manifest.fingerprint})
        return
    stdout.print(f"{to}: snapshot {entry.name}, {entry.rows:,} rows, {show_bytes(size)}", markup=False, soft_wrap=True)
    stdout.print(f"  fingerprint {entry.manifest.fingerprint}", soft_wrap=True)


def import_(  # Options of a command.
    file: Annotated[Path, typer.Argument(help="What `store snapshot export` wrote, or - for stdin.")],
    directory: Annotated[Path, typer.Argument(help="A new directory, or that of the store it came from.")],
    trust: Trust = False,  # noqa: FBT002  # A flag.
    config: ConfigFile = None,
    set_: SetOptions = None,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Read a snapshot back, checked: into a new directory, which then opens, or beside the log it was taken from.

    Beside a log its rows must be those that snapshots and log there add up to; where they cannot tell: --trust.
    """
    options = configure(config, set_, tenant__data=directory)
    fresh = not directory.exists() or _is_empty(directory)
    with Phases(json=json) as phases, _opened(file) as lines:
        told = phases.only(IMPORTING)
        if fresh:
            with made_in(directory) as disk:
                manifest = _into_new(file, disk, lines, options.snapshot.block_size, told)
        else:
            disk = work_on(directory)
            with noted(directory, "import", {"from": str(file), "trust": trust}) as more:
                manifest = _beside_log(disk, lines, options.snapshot.block_size, phases, trust=trust)
                more.update(_content(manifest))
    name = snapshot_name(manifest.offset)
    line = {"event": "imported", "name": name, "offset": manifest.offset, "into": str(directory), "new": fresh}
    if json:
        at = {"timestamp": manifest.timestamp, "at": to_text(manifest.timestamp)}
        print_json({**line, **at, "rows": manifest.rows, "fingerprint": manifest.fingerprint})
        return
    stdout.print(
        f"imported snapshot {name}, {show_moment(manifest.timestamp)}: {manifest.rows:,} rows, checked", soft_wrap=True
    )
    stdout.print(f"  fingerprint {manifest.fingerprint}", soft_wrap=True)
    if fresh:
        where = shlex.quote(str(directory))
        stdout.print(
            f"next:\n  store token mint --data {where}\n"
            f"  store serve --data {where}   # opens a new epoch: clients are told, and take their rows anew",
            markup=False,
            soft_wrap=True,
        )


def _write(to: Path, lines: Iterable[bytes]) -> int:
    """All of it under the name, or nothing. Returns its size."""
    unfinished = to.with_name(f"{to.name}.new")
    try:
        with unfinished.open("wb") as out:
            out.writelines(lines)
            size = out.tell()
        unfinished.rename(to)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    return size


def _content(manifest: Manifest) -> dict[str, Any]:
    """What the log will say of an import, beside who did it, and from where."""
    return {
        "offset": manifest.offset,
        "timestamp": manifest.timestamp,
        "rows": manifest.rows,
        "fingerprint": manifest.fingerprint,
    }


def _into_new(file: Path, disk: PosixDisk, lines: Iterator[bytes], block_size: int, told: Any) -> Manifest:
    """A data directory of nothing but this snapshot, and a log that goes on behind it."""
    begin_making(disk, Restoring("import", Offset(0)))
    try:
        manifest = _read(disk, lines, block_size, told)
        begin(
            disk,
            first_offset=Offset(manifest.offset + 1),
            epoch=manifest.epoch,
            created=SystemClock().wall(),
            chain=manifest.chain,
            salt=SystemEntropy().bytes(SALT_SIZE),
        )
    except Exception:
        abandon(disk)
        raise
    note_made(disk.path, "import", {"from": str(file), "parent": manifest.epoch.hex(), **_content(manifest)})
    mark(disk, opens="restore")
    return manifest


def _beside_log(disk: PosixDisk, lines: Iterator[bytes], block_size: int, phases: Phases, *, trust: bool) -> Manifest:
    """One more snapshot of a store that is there. DirectoryError: it is of another history."""
    head = next(lines, b"")
    _expect_same_history(disk, head, trust=trust)
    disk.lock(SNAPSHOT_FOLDER)
    try:
        known = partial(_expect_known_rows, disk, told=phases.only(CHECKING_LOG), trust=trust)
        return _read(disk, chain([head], lines), block_size, phases.only(IMPORTING), known)
    finally:
        disk.unlock(SNAPSHOT_FOLDER)


def _read(
    disk: PosixDisk,
    lines: Iterable[bytes],
    block_size: int,
    told: Any,
    expect: Callable[[Manifest], None] = lambda _: None,
) -> Manifest:
    """Written, read back, and noted as whole. Nothing is there under its name before all of it holds."""
    repository = Repository(disk)

    def accept(manifest: Manifest) -> None:
        repository.check(manifest, deep=True)
        read_system(repository, manifest)
        _expect_nothing_else(repository, manifest)
        expect(manifest)

    manifest = import_lines(lines, repository, block_size=block_size, progress=told, accept=accept)
    repository.note_verified(snapshot_name(manifest.offset), SystemClock().wall(), manifest.fingerprint)
    return manifest


def _expect_nothing_else(repository: Repository, manifest: Manifest) -> None:
    """DirectoryError where a whole snapshot of other content has that name: lines are not believed against it."""
    name = snapshot_name(manifest.offset)
    try:
        there = repository.manifest(name)
        repository.check(there)
    except (FileNotFoundError, CorruptionError):
        return  # There is none, or a damaged one is made whole.
    if (there.fingerprint, there.system) != (manifest.fingerprint, manifest.system):
        raise DirectoryError(
            f"there is a snapshot {name} already, it holds, and it has other content",
            hint="Import into a new directory to compare them: what is whole is never replaced",
        )


class _Head(msgspec.Struct):
    """What of the first line says whose history it is."""

    offset: Offset
    chain: str
    store: str


def _expect_same_history(disk: PosixDisk, line: bytes, *, trust: bool) -> None:
    """DirectoryError: the log says otherwise, or without `trust` cannot say."""
    try:
        head = msgspec.json.decode(line, type=_Head)
        chain_behind = bytes.fromhex(head.chain)
    except (msgspec.MsgspecError, ValueError) as error:
        raise CorruptionError(
            f"expected the first line of an exported snapshot ({error})",
            file="line 1",
            position=0,
            hint="Export it again",
        ) from None
    known = tenant_of(disk)
    if known is not None and known.hex() != head.store:
        raise _of_another_history(disk, head.offset, f"it is of the store {head.store}, this one is {known.hex()}")
    if Commitlog.exists(disk) and holds(disk, head.offset, chain_behind):
        return
    if any(run[0].first_offset <= head.offset <= run[-1].whole_offset for run in runs(segments(disk))):
        raise _of_another_history(disk, head.offset, "the log has another chain there")
    if not trust:
        raise _of_another_history(disk, head.offset, "that part of the log is gone, so nothing here can tell", _TRUST)


def _expect_known_rows(disk: PosixDisk, manifest: Manifest, told: Any, *, trust: bool) -> None:
    """DirectoryError: the log adds up to other rows there, or without `trust` cannot say."""
    expected = fingerprint_at(disk, manifest.offset, told)
    if expected is None and not trust:
        why = "no snapshot and no log tell which rows there were"
        raise _of_another_history(disk, manifest.offset, why, _TRUST)
    if expected not in {None, manifest.fingerprint}:
        why = f"snapshots and log here add up to the fingerprint {expected}, and it has {manifest.fingerprint}"
        raise _of_another_history(disk, manifest.offset, why)


_TRUST: Final = "; --trust takes it at its word"


def _of_another_history(disk: PosixDisk, offset: Offset, why: str, more: str = "") -> DirectoryError:
    return DirectoryError(
        f"the store in {disk.path} does not lead through this snapshot of offset {offset}: {why}",
        hint=f"Import it into a new directory{more}",
    )


@contextmanager
def _opened(file: Path) -> Iterator[Iterator[bytes]]:
    """The lines of a file, each of a bounded length."""
    if file == STDIO:
        yield iter(partial(sys.stdin.buffer.readline, LINE_SIZE_MAX + 1), b"")
        return
    try:
        source = file.open("rb")
    except FileNotFoundError:
        raise NothingThere(f"there is no {file}", hint="Name what `store snapshot export --to` wrote") from None
    with source:
        yield iter(partial(source.readline, LINE_SIZE_MAX + 1), b"")


def _is_empty(directory: Path) -> bool:
    """Whether nothing is there but the rest of an interrupted import, the empty folders of a refused one, a lock."""
    files = [each for each in directory.rglob("*") if not each.is_dir()]
    return (directory / RESTORING).exists() or all(each == directory / LOCK_NAME for each in files)
