"""`store restore` and `store clone`: a store as it was at any moment that snapshots and log lead to.

Laws: what is restored from is only read. What will happen is said before anything is done, with the offset it resolves
to and the time on the clock. A new directory is whole or says that it is not. In place, the old files stay until the
operator confirms.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from store.cli.arguments import (
    Authority,
    ConfigFile,
    DryRun,
    SetOptions,
    Token,
    Url,
    Yes,
    configure,
    was_typed,
)
from store.cli.asking import find_tenant
from store.cli.directories import Directory, expect_outside, expect_same_tenant, look_at, made_in, never_made, same
from store.cli.output import JsonFlag, note
from store.cli.progress import Phases
from store.cli.upkeep.acts import note_made, note_switch
from store.cli.upkeep.generation import InPlace, confirm_restored, undo_restored
from store.cli.upkeep.pace import note_pace, read_pace
from store.cli.upkeep.preview import Preview, proceed, tell_preview, tell_restored
from store.cli.upkeep.sources import (
    Endpoint,
    EpochOption,
    FromUrl,
    KeyFile,
    Region,
    Source,
    backup_source,
    directory_source,
    note_passed_over,
)
from store.cli.upkeep.targets import ToNewest, ToOffset, ToSnapshot, ToTime, in_epoch, read_target
from store.config import Config
from store.engine.directory import RESTORING, expect_makeable
from store.env.posix import PosixDisk, SystemClock, SystemEntropy
from store.errors import ConfigError
from store.upkeep import cloning
from store.upkeep.history import look
from store.upkeep.making import Restored
from store.upkeep.ranges import Target
from store.upkeep.restore import plan
from store.upkeep.restore import restore as carry_out

Into = Annotated[Path | None, typer.Option(help="A new or empty directory; the store may go on running.")]
Confirm = Annotated[bool, typer.Option("--confirm", help="Keep what was restored in place; the old files go.")]
GiveUp = Annotated[
    bool, typer.Option("--give-up-unshipped", help="With --confirm: also what the audit trail has not taken yet.")
]
Undo = Annotated[bool, typer.Option("--undo", help="Go back to the files from before a restore in place.")]


def restore(  # Options of a command.
    context: typer.Context,
    directory: Directory = None,
    to_time: ToTime = None,
    to_offset: ToOffset = None,
    snapshot: ToSnapshot = None,
    newest: ToNewest = False,  # noqa: FBT002  # A flag.
    into: Into = None,
    from_: FromUrl = None,
    epoch: EpochOption = None,
    dry_run: DryRun = False,  # noqa: FBT002  # A flag.
    yes: Yes = False,  # noqa: FBT002  # A flag.
    confirm: Confirm = False,  # noqa: FBT002  # A flag.
    undo: Undo = False,  # noqa: FBT002  # A flag.
    give_up_unshipped: GiveUp = False,  # noqa: FBT002  # A flag.
    key: KeyFile = None,
    endpoint: Endpoint = None,
    region: Region = None,
    url: Url = None,
    token: Token = None,
    ca: Authority = None,
    config: ConfigFile = None,
    set_: SetOptions = None,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Restore to a moment: into a new directory with --into, else in place, where the old files stay until --confirm.

    In place the store must be stopped, and to undo; a tenant that runs confirms it itself. Without a terminal nothing
    is asked. Exit code 9: that moment cannot be restored, and what can be is listed.
    """
    options = _configure(config, set_, directory, key, endpoint, region)
    root = options.tenant.data
    if give_up_unshipped and not confirm:
        raise ConfigError("--give-up-unshipped goes with --confirm", hint="It says which files may go")
    if confirm or undo:
        if confirm and undo:
            raise ConfigError("--confirm and --undo cannot be together", hint="Look at `store snapshot list` first")
        if undo:
            undo_restored(root, yes=yes, dry_run=dry_run, json=json)
            return
        named, without = was_typed(context, "url"), "the running tenant is not asked to confirm"
        tenant = find_tenant(options, url, token, ca, named=named, without=without, timeout_s=None)
        confirm_restored(root, tenant, options.audit, give_up=give_up_unshipped, yes=yes, dry_run=dry_run, json=json)
        return
    if from_ is not None and into is None and never_made(root):
        into = root  # A bare machine: there is nothing to be in place of.
    optional = into is not None or from_ is not None
    target = read_target(to_offset=to_offset, to_time=to_time, snapshot=snapshot, newest=newest, optional=optional)
    if into is not None and same(into, root) and from_ is None:
        raise ConfigError(f"--into names {root} itself", hint="Leave --into out to restore in place")
    asked = Asked(options, root, from_, epoch, target, reason="restore", dry_run=dry_run, yes=yes, json=json)
    if into is not None:
        asked.into(into)
    else:
        asked.in_place()


def clone(  # Options of a command.
    source: Annotated[Path, typer.Argument(help="The data directory; it may be in use. None with --from.")],
    into: Annotated[Path | None, typer.Argument(help="A new or empty directory.", show_default=False)] = None,
    to_time: ToTime = None,
    to_offset: ToOffset = None,
    snapshot: ToSnapshot = None,
    from_: FromUrl = None,
    epoch: EpochOption = None,
    dry_run: DryRun = False,  # noqa: FBT002  # A flag.
    yes: Yes = False,  # noqa: FBT002  # A flag.
    key: KeyFile = None,
    endpoint: Endpoint = None,
    region: Region = None,
    config: ConfigFile = None,
    set_: SetOptions = None,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Make another store of one: a new directory that begins as this one is now, or as it was at a moment.

    It has a name and an epoch of its own, so no client and no backup takes it for the other; its history begins there
    (`store restore --into` copies the history, too, and is the same store). The source goes on undisturbed.
    """
    if into is None:
        if from_ is None:
            raise ConfigError("the copy is not named", hint="store clone SOURCE INTO, or store clone --from URL INTO")
        into = source
    elif from_ is not None:
        raise ConfigError(f"there are two sources, {source} and {from_}", hint="store clone --from URL INTO")
    options = _configure(config, set_, source, key, endpoint, region)
    target = read_target(to_offset=to_offset, to_time=to_time, snapshot=snapshot, newest=False, optional=True)
    if from_ is None and same(into, source):
        raise ConfigError(f"source and copy are both {source}", hint="Name a directory that does not exist yet")
    asked = Asked(options, source, from_, epoch, target, reason="clone", dry_run=dry_run, yes=yes, json=json)
    asked.into(into)


class Asked:
    """What the operator asked for."""

    def __init__(
        self,
        options: Config,
        root: Path,
        url: str | None,
        epoch: str | None,
        target: Target,
        *,
        reason: str,
        dry_run: bool,
        yes: bool,
        json: bool,
    ) -> None:
        self._options = options
        self._root = root
        self._url = url
        self._epoch = epoch
        self._target = target
        self._reason = reason
        self._dry_run = dry_run
        self._yes = yes
        self._json = json

    def into(self, into: Path) -> None:
        """Into a directory of its own."""
        if self._url is None:
            expect_outside(into, self._root)
        if into.exists():
            expect_makeable(PosixDisk(into, read_only=True))  # Before a long log is read for nothing.
        with self._source() as source:
            preview = self._preview(source, into, in_place=False)
            if not self._go_on(preview):
                return
            with made_in(into) as disk:
                restored = self._carry_out(source, preview, disk, into)
        tell_restored(restored, preview, json=self._json)

    def in_place(self) -> None:
        """Into a new generation of the directory itself, which then is the one in force."""
        with InPlace(self._root, dry_run=self._dry_run) as place, self._source() as source:
            preview = self._preview(source, self._root, in_place=True)
            if not self._go_on(preview):
                return
            with place.generation(preview.plan.moment.offset) as (disk, folder):
                restored = self._carry_out(source, preview, disk, folder)
                note_switch(self._root, self._reason, folder.name, _content(source, restored))
        tell_restored(restored, preview, json=self._json)

    @contextmanager
    def _source(self) -> Iterator[Source]:
        with Phases(json=self._json) as phases:
            if self._url is not None:
                opened = backup_source(self._url, self._options, phases, epoch=self._epoch)
            else:
                opened = directory_source(self._root, self._reason, phases, lease_s=self._options.snapshot.lease_s)
            with opened as source:
                yield source

    def _preview(self, source: Source, into: Path, *, in_place: bool) -> Preview:
        """What will happen. NotRestorable: no snapshot and log lead there."""
        if in_place and source.root is None:
            expect_same_tenant(look_at(self._root), source.disk, source.text)
        made = plan(source.disk, in_epoch(source.disk, self._target, self._epoch))
        source.hold_from(made.needs_from)
        damage = tuple(each.message for each in look(source.disk).damage)
        pace = read_pace(self._root)
        preview = Preview(source.text, into, made, self._reason, in_place=in_place, damage=damage, pace=pace)
        tell_preview(preview, dry_run=self._dry_run, json=self._json)
        return preview

    def _go_on(self, preview: Preview) -> bool:
        return not self._dry_run and proceed(preview, yes=self._yes or self._json)

    def _carry_out(self, source: Source, preview: Preview, disk: PosixDisk, folder: Path) -> Restored:
        try:
            world: dict[str, Any] = {"clock": SystemClock(), "entropy": SystemEntropy(), "progress": source.told}
            if not preview.in_place:
                world["note"] = lambda made: note_made(folder, self._reason, _content(source, made))
            moment = preview.plan.moment
            if self._reason == cloning.REASON:
                restored = cloning.clone(source.disk, disk, moment, options=self._options.snapshot, **world)
            else:
                restored = carry_out(source.disk, disk, moment, **world)
        except BaseException:
            if not preview.in_place and (folder / RESTORING).exists():
                note(f"{folder} is half made and says so: the same command begins anew, or delete it")
            raise
        note_passed_over(source, restored)
        if source.root is not None:
            note_pace(source.root, restored)
        return restored


def _content(source: Source, restored: Restored) -> dict[str, Any]:
    """What the log will say of it, beside who did it."""
    return {
        "from": source.text,
        "offset": restored.offset,
        "timestamp": restored.timestamp,
        "parent": restored.parent.hex(),
        "base": restored.base,
        "rows": restored.rows,
        "fingerprint": restored.fingerprint,
    }


def _configure(
    config: Path | None,
    set_: list[str] | None,
    data: Path | None,
    key: Path | None,
    endpoint: str | None,
    region: str | None,
) -> Config:
    return configure(
        config, set_, tenant__data=data, backup__key_file=key, backup__endpoint=endpoint, backup__region=region
    )
