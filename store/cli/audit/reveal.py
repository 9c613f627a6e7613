"""`store audit reveal`: what an event has sealed for a person, for whoever holds that person's key."""

import sys
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from store.audit.objects.json_form import to_json_text
from store.audit.reading.revealing import EVENT_SIZE_MAX, reveal
from store.cli.arguments import ConfigFile, SetOptions, configure
from store.cli.audit.places import expect_secrets, noted_act, places_of
from store.cli.directories import Directory
from store.cli.exits import Exit
from store.cli.output import JsonFlag, note, print_json, stdout
from store.env.subject_folder import FolderSubjectKeys


def reveal_event(
    directory: Directory = None,
    event: Annotated[Path | None, typer.Option(help="A file with the event's line.  [default: standard input]")] = None,
    subject: Annotated[
        str, typer.Option(help="Whose key opens it.  [default: whomever another argument of the event names]")
    ] = "",
    config: ConfigFile = None,
    set_: SetOptions = None,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Show the arguments of an event, with what is sealed in it opened; the log is told that it was done.

    Ends with 1 where something stays sealed: its person's key is not here, or was destroyed.
    """
    options = configure(config, set_, tenant__data=directory)
    places = places_of(options.tenant.data, options.audit)
    expect_secrets(places)
    if event is None:
        line = sys.stdin.buffer.read(EVENT_SIZE_MAX)
    else:
        with event.open("rb") as file:
            line = file.read(EVENT_SIZE_MAX)
    with noted_act(places, "reveal", line_sha256=sha256(line.strip()).hexdigest()) as more:
        shown, sealed = reveal(line.strip(), FolderSubjectKeys(places.keys, places.subjects), subject)
        more.update(event=msgspec.json.decode(line)["metadata"]["uid"], stay_sealed=len(sealed))
    if json:
        print_json({"event": "revealed", "args": shown, "sealed": list(sealed)})
    else:
        for name, value in shown.items():
            stdout.print(f"{name} = {to_json_text(value)}", markup=False, soft_wrap=True, highlight=False)
        for name in sealed:
            note(f"{name} stays sealed: the key of its person is not here, or was destroyed")
    raise typer.Exit(Exit.CHECK_FAILED if sealed else Exit.DONE)
