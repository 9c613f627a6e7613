"""`store audit prune`: the beginning of a trail in a folder, removed once its locks are over."""

from typing import Annotated

import typer

from store.audit.objects.manifest import retain_until
from store.audit.shipping.pruning import prunable, prune
from store.cli.arguments import ConfigFile, SetOptions, Yes, configure
from store.cli.audit.places import current_disk, expect_same_store, log_of, noted_act, places_of, store_of
from store.cli.directories import Directory
from store.cli.output import JsonFlag, note, print_json, stdout
from store.env.posix import SystemClock
from store.env.worm_folder import FolderWorm
from store.errors import ConfigError
from store.ids import Timestamp
from store.upkeep.lineage import beginning, lineage


def prune_trail(
    directory: Directory = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and remove nothing.")] = False,  # noqa: FBT002  # A flag.
    yes: Yes = False,  # noqa: FBT002  # A flag.
    config: ConfigFile = None,
    set_: SetOptions = None,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Remove the beginning of a trail in a folder: whole batches from the first on, once their locks are over.

    What is left proves itself; a verifier says what is missing before it, and ends with 2. Keys and checkpoints stay.
    """
    options = configure(config, set_, tenant__data=directory)
    places = places_of(options.tenant.data, options.audit)
    log, clock, disk = log_of(places), SystemClock(), current_disk(places)
    expect_same_store(places, options.audit)
    store = store_of(places, options.audit, clock)
    if not isinstance(store, FolderWorm):
        raise ConfigError(
            f"{store.url} is no folder: nobody who ships may remove anything from a bucket",
            hint="Its owner may, by hand, once the locks are over: whole numbers of batch/ and manifest/, oldest first",
        )
    found = prunable(store, log, epochs=lineage(disk), after=beginning(disk).after, now=clock.wall())
    said = {"batches": len(found.manifests), "events": found.events, "kept": found.why}
    if found.manifests:
        last = found.manifests[-1]
        said |= {"through_event": last.size_after - 1, "through": retain_until(Timestamp(last.t_last))}
    what = f"{found.events:,} events in {len(found.manifests):,} batches"
    if (found.manifests or found.left_over) and not dry_run:
        if not yes:
            typer.confirm(f"Remove {what}, the oldest of the trail, for good?", abort=True)
        with noted_act(places, "prune", **said):
            prune(store, log, found, progress=lambda _: None)
    if json:
        print_json({"event": "pruned", "dry_run": dry_run, **said})
        return
    stdout.print(f"{what} {'would go' if dry_run else 'are gone'}", soft_wrap=True)
    note(f"what comes next stays: {found.why}")
