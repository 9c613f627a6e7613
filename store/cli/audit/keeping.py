"""The operators' commands of `store audit`: set up, look, keys, forget, hold, rebuild.

Laws: what changes something while a server runs is left where its process finds it, and a record in the log says that
it was done. Nothing here prints a secret. What cannot be taken back asks first.
"""

import os
import time
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from store.audit.objects.layout import folder_of, origin_of
from store.audit.objects.notes import SecretKey, read_secret_key
from store.audit.shipping.bucket import auditor_policy, prepare_bucket, writer_policy
from store.audit.shipping.holding import hold_trail
from store.audit.shipping.putting import Retention, store_time
from store.audit.signing.custody import SEED_SIZE, revoke_key, rotate
from store.audit.signing.keys import Succession, read_succession
from store.cli.arguments import ConfigFile, SetOptions, Yes, configure
from store.cli.audit.places import (
    Places,
    add_key,
    expect_secrets,
    log_of,
    newest_size,
    noted_act,
    opened_ledger,
    places_of,
    read_signers,
    set_ledger_aside,
    store_of,
    verified_at,
    wake,
)
from store.cli.audit.ship import opened_keeper
from store.cli.directories import Directory
from store.cli.exits import Exit, NothingThere
from store.cli.output import JsonFlag, note, print_json, stdout
from store.config import Config
from store.env.audit_keys import KeyFolder
from store.env.objects import Bucket, place_of
from store.env.posix import SystemClock
from store.env.subject_folder import FolderSubjectKeys, read_private, write_private
from store.env.worm import NotAllowed
from store.errors import ConfigError

SILENT_S: Final = 15.0
"""Seconds after which a status that nobody renews is that of a process which is gone."""

keys_app = typer.Typer(no_args_is_help=True, help="The keys that sign a trail.", rich_markup_mode=None)


def _opened(directory: Path | None, config: Path | None, set_: list[str] | None) -> tuple[Config, Places]:
    options = configure(config, set_, tenant__data=directory)
    return options, places_of(options.tenant.data, options.audit)


def init(
    directory: Directory = None,
    config: ConfigFile = None,
    set_: SetOptions = None,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Make the trail's store, or check the one that is there; print the policies that its writer and auditors need."""
    options, places = _opened(directory, config, set_)
    clock = SystemClock()
    store = store_of(places, options.audit, clock)
    policies = _policies(options, places)
    try:
        facts, warnings = prepare_bucket(store, retention=Retention(options.audit.retention_days))
        store_time(store, clock)
    except NotAllowed:
        if not json:
            _print_policies(policies)  # Whoever may give what is missing needs to know what.
        raise
    finally:
        store.close()
    wake(places)
    said: dict[str, Any] = {"event": "ready", "url": store.url, "enforced": facts.enforced, "warnings": warnings}
    said |= {f"{name}_policy": policy for name, policy in policies.items()}
    if json:
        print_json(said)
        return
    days = options.audit.retention_days
    stdout.print(f"{store.url} keeps versions and locks them for {days} day{'s'[: days != 1]}", soft_wrap=True)
    for each in warnings:
        note(each)
    _print_policies(policies)


def _policies(options: Config, places: Places) -> dict[str, Any]:
    """What the writer and the auditors of a bucket need to be allowed; none of a folder."""
    place = place_of(options.audit.store, "an audit trail") if options.audit.store else None
    if not isinstance(place, Bucket):
        return {}
    log, retention = log_of(places), Retention(options.audit.retention_days)
    amazon = not options.audit.endpoint
    writer = writer_policy(place.name, log, prefix=place.prefix, retention=retention, amazon=amazon)
    auditor = auditor_policy(place.name, log, prefix=place.prefix)
    return {"writer": msgspec.json.decode(writer), "auditor": msgspec.json.decode(auditor)}


def _print_policies(policies: dict[str, Any]) -> None:
    for name, policy in policies.items():
        stdout.print(f"\nthe {name}'s policy:", soft_wrap=True)
        stdout.print(msgspec.json.format(msgspec.json.encode(policy), indent=2).decode(), markup=False)


def status(
    directory: Directory = None,
    config: ConfigFile = None,
    set_: SetOptions = None,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Where the trail stands, as the process that ships it said last. Ends with 1 where something keeps it.

    So it does where the store was found to hold less than it had, until the trail was verified since.
    What keeps it is tried again at once, if the process runs: ask once more a moment later.
    """
    _, places = _opened(directory, config, set_)
    try:
        said = msgspec.json.decode(places.status.read_bytes(), type=dict[str, Any])
    except FileNotFoundError:
        raise NothingThere(
            f"there is no {places.status}: nobody has shipped this store's trail yet",
            hint="`store serve` does it while audit.on is set; `store audit ship` does it by hand",
        ) from None
    except msgspec.MsgspecError as error:
        raise ConfigError(f"{places.status} cannot be read: {error}", hint="It is written again by who ships") from None
    age = max(time.time() - float(said.get("at") or 0), 0.0)
    said["age_s"], said["running"] = round(age, 1), bool(said.get("pid")) and age < SILENT_S
    said["verified_at"] = verified_at(places) / 1e6
    problem = str(said.get("problem") or "") or _silence(said)
    if problem:
        wake(places)
    if json:
        print_json({"event": "status", **said})
    else:
        for line in _lines(said, problem):
            stdout.print(line, markup=False, soft_wrap=True)
    raise typer.Exit(Exit.CHECK_FAILED if problem or _is_missing(said) else Exit.DONE)


def _silence(said: dict[str, Any]) -> str:
    """What to say where whoever shipped did not say that it ended, and says nothing any more."""
    if said["running"] or not said.get("pid"):
        return ""
    return (
        f"the process that ships ({said['pid']}) has said nothing for {said['age_s']:.0f} s: it was killed, hangs, or"
        " has no room to say it. The server says why on its standard error; `store serve` starts it again"
    )


def _is_missing(said: dict[str, Any]) -> bool:
    """Whether the store held less than it had, and nobody has found the trail whole since."""
    return bool(said.get("missing")) and (said.get("verified_at") or 0) < (said.get("missing_at") or 0)


def _lines(said: dict[str, Any], problem: str) -> list[str]:
    owned = "" if said.get("enforced") is not False else "  (its owner can change it, and would be found out)"
    ledger = f"{said.get('ledger_bytes', 0):,} of {said.get('ledger_size_max', 0):,} bytes"
    batches = ", ".join(f"{count:,} {state}" for state, count in said.get("batches", {}).items() if count) or "none"
    last = said.get("verified_at") or 0
    verified = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(last)) if last else "never, by a command here"
    return [
        f"trail         {said.get('origin', _UNKNOWN)}",
        f"key           {said.get('key', _UNKNOWN)}",
        f"store         {said.get('url', _UNKNOWN)}{owned}",
        f"events        {said.get('events', 0):,}, of them {said.get('checkpoint_events', 0):,} under a checkpoint",
        f"log           shipped through offset {said.get('shipped_offset', 0):,}; {said.get('lag_s', 0):.1f} s behind",
        f"ledger        {ledger}; batches: {batches}",
        f"process       {'runs' if said['running'] else 'does not run'}, said this {said['age_s']} s ago",
        f"verified      {verified}",
        *(f"witness       {_of_witness(each)}" for each in said.get("witnesses", [])),
        *(f"not proven    {each}" for each in said.get("unproven", [])),
        *(f"found         {each}" for each in said.get("found", [])),
        *([f"missing       {said['missing']}"] if said.get("missing") else []),
        *([f"problem       {problem}"] if problem else []),
    ]


_UNKNOWN: Final = "not known yet"
_FORGOTTEN: Final = {
    True: "destroyed",
    None: "it was destroyed before",
    False: "there was no key of that name, so nothing is sealed for it in what was shipped: is the name right? "
    "None will be made either",
}


def _of_witness(said: dict[str, Any]) -> str:
    problem = said.get("problem")
    return f"{said['url']} has cosigned {said['size']:,} events{f': {problem}' if problem else ''}"


@keys_app.command(name="show")
def show_keys(
    directory: Directory = None,
    config: ConfigFile = None,
    set_: SetOptions = None,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """The keys of the trail, in the order in which they came. An auditor is given the newest, or the first."""
    options, places = _opened(directory, config, set_)
    succession, folder = _succession(places)
    at_hand = {str(each.key) for each in read_signers(folder)}
    rows = [
        {
            "key": str(key),
            "from_size": size,
            "at_hand": str(key) in at_hand,
            "revoked_behind": succession.revoked.get(str(key)),
        }
        for size, key in succession.keys
    ]
    waiting = sorted(at_hand - {each["key"] for each in rows})
    root = None if succession.root is None else str(succession.root)
    if json:
        print_json({"event": "keys", "keys": rows, "waiting": waiting, "root": root, "signer": options.audit.signer})
        return
    for each in rows:
        state = "" if each["revoked_behind"] is None else f"  revoked behind event {each['revoked_behind']:,}"
        where = "" if each["at_hand"] else "  (its secret is not here)"
        stdout.print(f"from event {each['from_size']:,}  {each['key']}{where}{state}", markup=False, soft_wrap=True)
    for key in waiting:
        stdout.print(f"waiting  {key}: introduced when the trail is shipped next", markup=False, soft_wrap=True)
    stdout.print(f"root  {root or 'none: no key can be revoked'}", markup=False, soft_wrap=True)


@keys_app.command(name="rotate")
def rotate_key(
    directory: Directory = None,
    root: Annotated[Path | None, typer.Option(help="The root key's file, where the key in force was revoked.")] = None,
    config: ConfigFile = None,
    set_: SetOptions = None,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Make the next key. The process that ships introduces it within seconds, or when it starts next.

    After a revocation the root key has to introduce it: then with --root, while nobody ships.
    """
    options, places = _opened(directory, config, set_)
    log = log_of(places)
    with noted_act(places, "keys rotate") as more:
        if root is None:
            made = add_key(places, origin_of(options.audit.domain, log)).key
            text = f"made {made}: it signs as soon as whoever ships has introduced it"
        else:
            with opened_ledger(places, options.audit, note) as ledger:
                secret = read_secret_key(read_private(root))
                size = newest_size(ledger, log)
                made = rotate(KeyFolder(places.keys), log, size=size, random=os.urandom, root=secret)
            text = f"behind event {size:,} a new key signs: {made}"
        more["key"] = str(made)
    print_json({"event": "rotated", "key": str(made)}) if json else stdout.print(text, markup=False, soft_wrap=True)


@keys_app.command(name="revoke")
def revoke_a_key(
    key_id: Annotated[str, typer.Argument(help="The key's 8 hex digits.")],
    root: Annotated[Path, typer.Option(help="The root key's file.")],
    reason: Annotated[str, typer.Option(help="In one line, for every auditor to read.")],
    directory: Directory = None,
    from_size: Annotated[
        int | None,
        typer.Option(min=0, help="The last size that it may have signed.  [default: all there are]"),
    ] = None,
    config: ConfigFile = None,
    set_: SetOptions = None,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Say that a key is not to be believed any more, signed by the root key; while nobody ships."""
    options, places = _opened(directory, config, set_)
    log = log_of(places)
    secret = read_secret_key(read_private(root))
    with (
        noted_act(places, "keys revoke", key_id=key_id, reason=reason) as more,
        opened_ledger(places, options.audit, note) as ledger,
    ):
        size = newest_size(ledger, log) if from_size is None else from_size
        found = revoke_key(KeyFolder(places.keys), log, key_id, root=secret, size=size, reason=reason)
        more["from_size"] = size
    if json:
        print_json({"event": "revoked", "key": str(found), "from_size": size})
    else:
        stdout.print(
            f"{found} is revoked behind event {size:,}; `store audit keys rotate --root …` makes the next one",
            markup=False,
            soft_wrap=True,
        )


@keys_app.command(name="root")
def make_root(
    file: Annotated[Path, typer.Argument(help="Where its secret goes: then take it off this machine.")],
    name: Annotated[str, typer.Option(help="Its name, such as example.com/root.")] = "commitstore.local/root",
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Make a root key, before the trail's first start: name its public half in audit.root_key."""
    if file.exists():
        raise ConfigError(f"{file} is there already", hint="Name another file: nothing is overwritten")
    made = SecretKey(name, os.urandom(SEED_SIZE))
    write_private(file, made.write())
    text = f"audit.root_key = {made.key}"
    print_json({"event": "root", "key": str(made.key)}) if json else stdout.print(text, markup=False, soft_wrap=True)


def forget(
    subject: Annotated[str, typer.Argument(help="Whose sealed arguments nobody shall read any more.")],
    directory: Directory = None,
    yes: Yes = False,  # noqa: FBT002  # A flag.
    config: ConfigFile = None,
    set_: SetOptions = None,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Destroy the key of a person: what was sealed for it, and will be, is lost; every proof still holds."""
    _, places = _opened(directory, config, set_)
    expect_secrets(places)
    if not yes:
        typer.confirm(f"Destroy the key of {subject}, for good?", abort=True)
    secrets = FolderSubjectKeys(places.keys, places.subjects)
    with noted_act(places, "forget") as more:  # Whom, the log must not keep.
        had = secrets.known(subject)
        secrets.destroy(subject)
        more["was_there"] = bool(had)
    if json:
        print_json({"event": "forgotten", "was_there": bool(had), "before": had is None})
    else:
        stdout.print(_FORGOTTEN[had], soft_wrap=True)


def hold(
    directory: Directory = None,
    off: Annotated[bool, typer.Option("--off", help="Lift the hold.")] = False,  # noqa: FBT002  # A flag.
    first: Annotated[int, typer.Option(min=0, help="The first event that must stay provable.")] = 0,
    last: Annotated[int | None, typer.Option(min=0, help="The last.  [default: the newest]")] = None,
    config: ConfigFile = None,
    set_: SetOptions = None,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Put a legal hold on the trail: what is there stays past its retention, until the hold is lifted."""
    options, places = _opened(directory, config, set_)
    log, store = log_of(places), store_of(places, options.audit, SystemClock())
    try:
        with noted_act(places, "hold", on=not off, first=first, last=last) as more:
            found = hold_trail(store, log, on=not off, first=first, last=last, progress=lambda _: None)
            more.update(seen=found.versions, changed=found.changed)
    finally:
        store.close()
    what = f"a legal hold was {'lifted' if off else 'put'} on {found.changed} of {found.versions} versions"
    said = {"event": "held", "on": not off, "seen": found.versions, "changed": found.changed}
    print_json(said) if json else stdout.print(what, soft_wrap=True)


def rebuild(
    directory: Directory = None,
    yes: Yes = False,  # noqa: FBT002  # A flag.
    config: ConfigFile = None,
    set_: SetOptions = None,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Make the ledger anew from the trail's store and the log, while nobody ships; the old one is set aside."""
    options, places = _opened(directory, config, set_)
    log_of(places)  # There is a store.
    if places.ledger.exists() and not yes:
        typer.confirm(f"Set {places.ledger} aside and make it anew?", abort=True)
    with noted_act(places, "rebuild") as more:
        if places.ledger.exists():
            with opened_ledger(places, options.audit, note):
                pass  # Whoever has it says so here.
            note(f"the ledger that was there lies in {set_ledger_aside(places)}")
        with opened_keeper(places, options.audit, note, anew=True) as keeper:
            events = keeper.recorder.recorded.events
        more["events"] = events
    text = f"the ledger knows {events:,} events"
    print_json({"event": "rebuilt", "events": events}) if json else stdout.print(text, soft_wrap=True)


def _succession(places: Places) -> tuple[Succession, KeyFolder]:
    log, folder = log_of(places), KeyFolder(places.keys)
    notes = {f"{folder_of(log)}keys/{name}": data for name, data in folder.notes().items()}
    if not notes:
        raise NothingThere(
            f"{places.keys} holds no keys yet", hint="The first one is made when the trail is shipped first"
        )
    return read_succession(log, notes), folder
