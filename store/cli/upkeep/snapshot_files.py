"""`store snapshot export` and `import`: a snapshot as JSON Lines, for people, other tools, and the way back.

Laws: both forms have one fingerprint, and what does not add up is refused. A file gets its name when it is whole. What
is imported beside a log is of that log's history, or is refused before anything is written.
"""

import shlex
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from store.cli.arguments import ConfigFile, SetOptions, configure
from store.cli.directories import Directory, work_on
from store.cli.exits import NothingThere
from store.cli.moments import show_bytes, show_moment, to_text
from store.cli.output import JsonFlag, print_json, stdout
from store.cli.progress import Phases
from store.cli.upkeep.catalog import Catalog, choose
from store.cli.upkeep.lease import leased
from store.engine.directory import RESTORING, Restoring, abandon, begin_making, mark
from store.engine.loading import read_system
from store.env.posix import PosixDisk, SystemClock, SystemEntropy
from store.errors import ConfigError, CorruptionError, DirectoryError
from store.ids import Offset
from store.log.commitlog import Commitlog
from store.log.cutting import begin
from store.log.format import SALT_SIZE
from store.log.survey import holds
from store.snapshot.format import SNAPSHOT_FOLDER, Manifest, snapshot_name
from store.snapshot.jsonlines import LINE_SIZE_MAX, export_lines, import_lines
from store.snapshot.repository import Repository

EXPORTING, IMPORTING = "exporting rows", "importing rows"
STDIO: Final = Path("-")


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
    config: ConfigFile = None,
    set_: SetOptions = None,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Read a snapshot back, checked: into a new directory, which then opens, or beside the log it was taken from."""
    options = configure(config, set_, tenant__data=directory)
    fresh = not directory.exists() or _is_empty(directory)
    with Phases(json=json) as phases, _opened(file) as lines:
        told = phases.only(IMPORTING)
        if fresh:
            manifest = _into_new(PosixDisk(directory), lines, options.snapshot.block_size, told)
        else:
            manifest = _beside_log(work_on(directory), lines, options.snapshot.block_size, told)
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


def _into_new(disk: PosixDisk, lines: Iterator[bytes], block_size: int, told: Any) -> Manifest:
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
    mark(disk, opens="restore")
    return manifest


def _beside_log(disk: PosixDisk, lines: Iterator[bytes], block_size: int, told: Any) -> Manifest:
    """One more snapshot of a store that is there. DirectoryError: it is of another history."""
    head = next(lines, b"")
    _expect_same_history(disk, head)
    disk.lock(SNAPSHOT_FOLDER)
    try:
        return _read(disk, chain([head], lines), block_size, told)
    finally:
        disk.unlock(SNAPSHOT_FOLDER)


def _read(disk: PosixDisk, lines: Iterable[bytes], block_size: int, told: Any) -> Manifest:
    """Written, read back, and noted as whole. Nothing is there under its name before all of it holds."""
    repository = Repository(disk)

    def accept(manifest: Manifest) -> None:
        repository.check(manifest, deep=True)
        read_system(repository, manifest)
        _expect_nothing_else(repository, manifest)

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


def _expect_same_history(disk: PosixDisk, line: bytes) -> None:
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
    if not Commitlog.exists(disk) or not holds(disk, head.offset, chain_behind):
        raise DirectoryError(
            f"the log in {disk.path} does not lead through this snapshot of offset {head.offset}: it is of another "
            "history, or that part of the log is gone",
            hint="Import it into a new directory",
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
    """Whether nothing is there but the rest of an interrupted import, or the empty folders of a refused one."""
    return (directory / RESTORING).exists() or all(each.is_dir() for each in directory.rglob("*"))
