"""Restoring in place: a new generation beside the one in force, then confirm or undo.

Laws: only a stopped store is restored in place or undone, since the directory's lock is held throughout. What was
restored may be confirmed while it is served: by whoever serves it, who holds the lock, and reads none of what goes.
What was begun and did not come to its end is removed, or said to be there.
"""

import shlex
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from store.audit.options import AuditOptions
from store.audit.owing import Shipped, expect_nothing_owed, shipped_of
from store.audit.recording.recorder import shipped_row
from store.audit.recording.rows import Rows
from store.cli.asking import Tenant
from store.cli.audit.places import log_of, opened_ledger, places_of
from store.cli.directories import generation_of, look_at
from store.cli.exits import NothingThere
from store.cli.moments import folder_size, show_bytes
from store.cli.output import note, print_json, stdout
from store.cli.upkeep.acts import BY_HAND, note_switch, noted, settle
from store.cli.upkeep.preview import agree, tell_next
from store.engine.directory import FOLDERS, GENERATION, MARKER, RESTORING
from store.engine.loading import end_of_log
from store.env.posix import PosixDisk, SystemEntropy
from store.errors import DirectoryError, StoreError
from store.ids import Offset
from store.log.segment import segment_offsets
from store.log.survey import read_header
from store.upkeep import generations


class InPlace:
    """A data directory that nobody serves, held for as long as this context is open; a dry run holds nothing."""

    def __init__(self, root: Path, *, dry_run: bool) -> None:
        self._root: Final = root
        self._dry_run: Final = dry_run
        self._disk: PosixDisk | None = None

    def __enter__(self) -> Self:
        if self._dry_run:
            return self  # Looking disturbs nobody.
        self._disk = hold(self._root)
        try:
            self._expect_decided()
        except BaseException:
            self._disk.unlock()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._disk is not None:
            self._disk.unlock()

    def _expect_decided(self) -> None:
        assert self._disk is not None
        if generations.previous(self._disk) is not None:
            raise DirectoryError(
                f"{self._root} was restored in place before, and that waits to be confirmed",
                hint=f"`store restore {shlex.quote(str(self._root))} --undo` goes back to the whole history, from "
                "which any moment can be restored; --confirm keeps what was restored",
            )

    @contextmanager
    def generation(self, offset: Offset) -> Iterator[tuple[PosixDisk, Path]]:
        """A new generation's disk and folder; in force once the context ends well, gone where it does not."""
        assert self._disk is not None
        self._remove_leftovers()
        name = generations.new_name(offset, SystemEntropy())
        folder = self._root / name
        try:
            yield PosixDisk(folder, root=self._root), folder
            generations.switch(self._disk, name)
        except BaseException:
            if generations.current(self._disk) != name:
                shutil.rmtree(folder, ignore_errors=True)
                note(f"what was begun in {folder} was removed; {self._root} is as it was")
            raise

    def _remove_leftovers(self) -> None:
        """Generations that nothing refers to: what a killed restore left half made goes, what is whole is told of."""
        assert self._disk is not None
        for folder in self._root.iterdir():
            if not GENERATION.fullmatch(folder.name) or folder.name == generations.current(self._disk):
                continue
            if (folder / MARKER).exists():
                note(f"{folder} is not in force and nothing refers to it: delete it when nothing in it is of use")
            elif (folder / RESTORING).exists():
                shutil.rmtree(folder)
                note(f"removed {folder}, which an interrupted restore had left half made")


_STOPPED_OR_BESIDE: Final = "In place needs the store stopped: stop that process, or restore beside it with --into NEW"
_STOPPED: Final = (
    "Stop that process first: which files are in force is changed only while nobody serves them. What a running tenant "
    "serves can be confirmed through it (--url, --token)"
)


def hold(root: Path, hint: str = _STOPPED_OR_BESIDE) -> PosixDisk:
    """The directory itself, locked. DirectoryError, with `hint`: a store serves it, or somebody else works in it."""
    if not root.is_dir():
        raise NothingThere(f"there is no data directory {root}", hint="Name one, or restore into a new one with --into")
    disk = PosixDisk(root)
    try:
        disk.lock()
    except DirectoryError as error:
        raise DirectoryError(error.message, hint=hint) from None
    try:
        settle(root, root / generations.current(disk))
    except BaseException:
        disk.unlock()
        raise
    return disk


Confirm = Callable[[PosixDisk, Path], None]
"""What lets the files of the generation before go: (the root, that generation's folder)."""


def confirm_restored(
    root: Path,
    tenant: Tenant | None,
    audit: AuditOptions,
    *,
    give_up: bool,
    yes: bool,
    dry_run: bool,
    json: bool,
) -> None:
    """Remove the files from before the last restore in place. NothingThere: there was none.

    A `tenant` that serves what was restored does it itself, and goes on serving. Unshipped: the audit trail has not
    taken all that they hold, and `give_up` does not say to let it go all the same.
    """
    if tenant is not None:
        disk, let_go = PosixDisk(root, read_only=True), partial(_by_tenant, tenant, give_up)
        _confirm(root, disk, let_go, yes=yes, dry_run=dry_run, json=json)
        return
    disk = hold(root, _STOPPED)
    try:
        _expect_shipped(root, disk, audit, give_up=give_up)
        _confirm(root, disk, partial(_remove_here, give_up), yes=yes, dry_run=dry_run, json=json)
    finally:
        disk.unlock()


def _confirm(root: Path, disk: PosixDisk, let_go: Confirm, *, yes: bool, dry_run: bool, json: bool) -> None:
    folder = _previous(disk, root)
    lost = list(map(str, generations.lost_by_confirming(PosixDisk(folder, read_only=True), look_at(root))))
    size = sum(folder_size(folder / each) for each in FOLDERS)
    if not json:
        _tell_lost(lost, folder, size)
    if dry_run or not agree("let them go?", yes=yes or json):
        _done({"event": "would_confirm", **_lost_line(lost, size)}, "", json=json and dry_run)
        return
    let_go(disk, folder)
    _remove_empty(folder, root)
    said = f"confirmed: {generation_of(root)} is in force, and {show_bytes(size)} of older files are gone"
    _done({"event": "confirmed", "generation": str(generation_of(root)), **_lost_line(lost, size)}, said, json=json)


def _remove_here(give_up: bool, disk: PosixDisk, folder: Path) -> None:  # noqa: FBT001  # Bound.
    said = {"reason": BY_HAND, **({"gave_up_unshipped": True} if give_up else {})}
    with noted(disk.path, "confirm", said) as more:
        more["bytes"] = generations.confirm(disk, PosixDisk(folder, root=disk.path))


def _by_tenant(tenant: Tenant, give_up: bool, _: PosixDisk, __: Path) -> None:  # noqa: FBT001  # Bound.
    tenant.post("/v1/confirm?give_up_unshipped=true" if give_up else "/v1/confirm")


def _expect_shipped(root: Path, disk: PosixDisk, audit: AuditOptions, *, give_up: bool) -> None:
    """Unshipped: the audit trail wants what is to go."""
    if give_up or generations.given_up(disk):
        return
    old = PosixDisk(_previous(disk, root), read_only=True, root=root)
    expect_nothing_owed(old, look_at(root), lambda: _shipped(root, audit))


def _shipped(root: Path, audit: AuditOptions) -> Shipped | None:
    """How far the trail is by its ledger. DirectoryError: another process has that."""
    places = places_of(root, audit)
    if not places.ledger.exists():
        return None
    with opened_ledger(places, audit, note) as ledger:
        return shipped_of(shipped_row(Rows(ledger, log_of(places))))


def undo_restored(root: Path, *, yes: bool, dry_run: bool, json: bool) -> None:
    """Go back to the generation from before the last restore in place. NothingThere: there was none."""
    disk = hold(root, _STOPPED)
    try:
        folder = _previous(disk, root)
        left = root / generations.current(disk)
        if not json:
            note(f"{folder} will be in force again; {left} stays there, unused, with what was written since")
        if dry_run or not agree("go back?", yes=yes or json):
            _done({"event": "would_undo", "generation": str(folder)}, "", json=json and dry_run)
            return
        back = generations.previous(disk)
        assert back is not None
        note_switch(root, "undo", back, {"reason": BY_HAND, "left": left.name, **_end_of(left)})
        generations.undo(disk)
        said = f"undone: {generation_of(root)} is in force, as if nothing had been restored"
        _done({"event": "undone", "generation": str(generation_of(root)), "left": str(left)}, said, json=json)
        if not json:
            serve = (f"store serve --data {shlex.quote(str(root))}", "go on")
            tell_next([serve, (f"rm -r {shlex.quote(str(left))}", "when nothing in it is of use any more")])
    finally:
        disk.unlock()


def _end_of(left: Path) -> dict[str, object]:
    """Which history is left, and how far it had come: its calls were answered, whether the trail tells them or not."""
    with suppress(StoreError, OSError):  # It is left because it is damaged, or gone, perhaps.
        disk = PosixDisk(left, read_only=True)
        for segment in segment_offsets(disk)[-1:]:
            return {"epoch": read_header(disk, segment).epoch.hex(), "last_offset": end_of_log(disk)}
    return {}


def _previous(disk: PosixDisk, root: Path) -> Path:
    old = generations.previous(disk)
    if old is None:
        raise NothingThere(
            f"nothing was restored in place in {root} that waits to be confirmed or undone",
            hint="`store restore --to-time …` restores in place; `store snapshot list` shows what is restorable",
        )
    return root / old


def _remove_empty(folder: Path, root: Path) -> None:
    """Take away the folders in which nothing is left."""
    for each in (*(folder / name for name in FOLDERS), *([folder] if folder != root else [])):
        with suppress(OSError):  # Somebody put something of their own into it.
            each.rmdir()


def _tell_lost(lost: list[str], folder: Path, size: int) -> None:
    note(f"the files from before in {folder} go: {show_bytes(size)}; no longer restorable then:")
    for each in lost:
        note(f"  {each}")
    if not lost:
        note("  nothing: all of it is in what was restored, too")


def _lost_line(lost: list[str], size: int) -> dict[str, object]:
    return {"bytes": size, "lost": lost}


def _done(line: dict[str, object], said: str, *, json: bool) -> None:
    if json:
        print_json(line)
    elif said:
        stdout.print(said, markup=False, soft_wrap=True)
