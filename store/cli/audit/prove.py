"""`store audit prove`, `verify-proof` and `head`: one event, and one checkpoint, to carry away and check anywhere."""

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from store.audit.objects.checkpoint import read_checkpoint, read_proof
from store.audit.objects.layout import Malformed
from store.audit.objects.merkle import leaf_hash
from store.audit.reading.proving import prove as prove_event
from store.audit.reading.verifying.findings import Verdict
from store.audit.reading.verifying.request import Request
from store.audit.reading.verifying.trail import Verification
from store.cli.audit.trails import Endpoint, FromTrail, KeyOption, LogOption, Region, TrailUrl, key_of, open_trail
from store.cli.audit.verify import Policies, Witnesses, cosignatures, tell_findings
from store.cli.exits import NothingThere
from store.cli.output import JsonFlag, note, print_json, stdout
from store.errors import DirectoryError


def prove(
    seq: Annotated[int, typer.Option(min=0, metavar="N", help="Which event: its sequence, from 0.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where the proof goes: a new file.")],
    url: TrailUrl = None,
    line: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where the event's line goes.  [default: stdout]")
    ] = None,
    key: KeyOption = None,
    key_from_trail: FromTrail = False,  # noqa: FBT002  # A flag.
    log: LogOption = None,
    endpoint: Endpoint = "",
    region: Region = "",
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Prove that one event is in the trail: a file of a kilobyte, which `verify-proof` checks without the trail.

    Exit code: 0 proven, 1 the trail does not hold there, 4 it cannot be read, or there is no such event.
    """
    trail = open_trail(url, key=key, from_trail=key_from_trail, log=log, endpoint=endpoint, region=region)
    try:
        found = prove_event(trail.store, trail.log, seq)
        checkpoint, signed = read_checkpoint(found.proof.checkpoint)
        if trail.key is not None and trail.key not in signed.signed_by([trail.key]):
            note(
                f"the checkpoint is signed by another key of the trail than the one that was named, {trail.key.key_id}"
            )
    except Malformed as error:
        _refuse(error, json=json)
    write_new(output, found.proof.encode())
    if line is not None:
        write_new(line, found.line + b"\n")
    if json:
        said = {"event": "proven", "seq": seq, "proof": str(output), "size": checkpoint.size}
        print_json({**said, "origin": checkpoint.origin, "line": found.line.decode("utf-8", "replace")})
        return
    if line is None:
        stdout.file.write(found.line.decode("utf-8", "backslashreplace") + "\n")  # As it is: its hash is proven.
    note(f"{output} proves it as event {seq} of the {checkpoint.size:,} that {checkpoint.origin} signed")
    note(f"check it anywhere: store audit verify-proof {output} --line FILE --key VKEY")


def verify_proof(
    proof: Annotated[Path, typer.Argument(metavar="PROOF", help="The proof, as `prove` wrote it.")],
    line: Annotated[Path, typer.Option(metavar="FILE", help="The event's line.")],
    key: Annotated[str, typer.Option(metavar="VKEY", help="The key that signed the checkpoint, or a file with it.")],
    policy: Policies = None,
    witness: Witnesses = None,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Check that one event is in a trail, by its proof alone. Exit code: 0 proven, 1 not, 4 it cannot be read."""
    known, cosigned = key_of(key), cosignatures(policy, witness or [])
    data, event = proof.read_bytes(), line.read_bytes().removesuffix(b"\n")
    try:
        found = read_proof(data)
        checkpoint, signed = read_checkpoint(found.checkpoint)
        if checkpoint.origin != known.name or known not in signed.signed_by([known]):
            raise Malformed(f"expected a checkpoint signed by {known}, found one of {checkpoint.origin}")  # noqa: TRY301
        if not found.shows(leaf_hash(event)):
            raise Malformed(f"this line is not event {found.index} of {checkpoint.origin}")  # noqa: TRY301
        if cosigned is not None and not cosigned(signed):
            raise Malformed("not enough witnesses cosigned the checkpoint")  # noqa: TRY301
    except Malformed as error:
        _refuse(error, json=json)
    if json:
        print_json(
            {"event": "result", "verdict": "VERIFIED", "exit": 0, "seq": found.index, "origin": checkpoint.origin}
        )
        return
    stdout.print(
        f"VERIFIED: it is event {found.index} of the {checkpoint.size:,} that {checkpoint.origin} signed",
        style="bold green",
        markup=False,
        soft_wrap=True,
    )


def head(
    url: TrailUrl = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Keep the checkpoint, for --trusted later.")
    ] = None,
    key: KeyOption = None,
    key_from_trail: FromTrail = False,  # noqa: FBT002  # A flag.
    log: LogOption = None,
    policy: Policies = None,
    witness: Witnesses = None,
    endpoint: Endpoint = "",
    region: Region = "",
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Show the newest checkpoint whose signatures hold. Keep it elsewhere: then nobody can take back what it saw.

    Exit code: 0, or 1 where keys or a checkpoint do not hold, 4 there is none.
    """
    trail = open_trail(url, key=key, from_trail=key_from_trail, log=log, endpoint=endpoint, region=region)
    cosigned = cosignatures(policy, witness or [])
    reading = Verification(trail.store, Request(trail.log, trail.key, cosigned=cosigned))
    try:
        newest = reading.newest_checkpoint()
    except Malformed as error:
        _refuse(error, json=json)
    tell_findings(reading.outcome, json=json)
    if newest is None:
        raise NothingThere(
            f"no checkpoint of {trail.log} counts", hint="Is the trail shipped, and who was to cosign it?"
        )
    checkpoint, data = newest
    if output is not None:
        write_new(output, data)
    if json:
        said = {"event": "head", "origin": checkpoint.origin, "size": checkpoint.size, "root": checkpoint.root.hex()}
        print_json({**said, "checkpoint": data.decode()})
    else:
        stdout.print(data.decode().rstrip("\n"), markup=False, soft_wrap=True)
    if reading.outcome.verdict is not Verdict.VERIFIED:
        raise typer.Exit(int(reading.outcome.verdict))


def write_new(path: Path, data: bytes) -> None:
    """A new file. DirectoryError: something has the name."""
    try:
        with path.open("xb") as file:
            file.write(data)
    except FileExistsError:
        raise DirectoryError(f"{path} is there already", hint="Name another: nothing is overwritten") from None


def _refuse(error: Malformed, *, json: bool) -> NoReturn:
    """The bytes are not what they must be: that is a verdict."""
    if json:
        print_json({"event": "result", "verdict": Verdict.TAMPER.name, "exit": 1, "what": str(error)})
    else:
        stdout.print(f"TAMPER: {error}", style="bold red", markup=False, soft_wrap=True)
    raise typer.Exit(int(Verdict.TAMPER))
