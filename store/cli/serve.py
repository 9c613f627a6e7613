"""`store serve`: one tenant, from its data directory to its port, until it is told to stop."""

import gc
import os
import shlex
import shutil
import subprocess
import sys
import threading
from contextlib import closing, suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from store.cli.arguments import (
    TOKENS_FILE,
    ConfigFile,
    Data,
    SetOptions,
    configure,
    development_token,
    listens_at,
    token_of,
)
from store.cli.audit.places import places_of
from store.cli.demo import FIRST_ACCOUNT
from store.cli.directories import expect_not_around_one, generation_of, look_at
from store.cli.domains import load_domain
from store.cli.exits import Exit
from store.cli.git_history import open_repository
from store.cli.output import JsonFlag, note, print_json, stderr, stdout, to_plain
from store.cli.presence import announce, withdraw
from store.cli.streams import Left, Untold
from store.cli.token import mint_development_token, sources_of
from store.cli.upkeep.acts import owed_acts
from store.config import Config
from store.engine.engine import Engine, Migration, open_engine
from store.engine.recovery import RecoveryProgress, RecoveryReport
from store.engine.reducer import Domain
from store.env.deadline import SignalDeadline
from store.env.posix import PosixDisk, SystemClock, WriterEntropy
from store.env.world import Deadline, World
from store.errors import ConfigError
from store.server.app import Server
from store.server.auth import AuthOptions
from store.snapshot.format import snapshot_name
from store.upkeep.snapshotting import take

RunDemo = Annotated[
    bool, typer.Option("--demo", help="Mint a development token where there is none, and run the demo once.")
]


def serve(  # Options of a command.
    data: Data = None,
    domain: Annotated[
        list[str] | None, typer.Option(help="A module of tables and reducers; may be repeated.  [tenant.domains]")
    ] = None,
    host: Annotated[str | None, typer.Option(help="The address to listen on.  [server.host]")] = None,
    port: Annotated[int | None, typer.Option(help="The TCP port; 0 takes a free one.  [server.port]")] = None,
    tls_certificate: Annotated[
        Path | None, typer.Option(help="A PEM file with the certificate chain.  [server.tls_certificate]")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key.  [server.tls_key]")] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="Hashed tokens.  [default: auth.token_file, or `tokens` in the data directory]")
    ] = None,
    demo: RunDemo = False,  # noqa: FBT002  # A flag.
    repository: Annotated[
        Path | None,
        typer.Option(help="The git repository that --demo imports.  [default: the current one, if git can read it]"),
    ] = None,
    config: ConfigFile = None,
    set_: SetOptions = None,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Serve one tenant until SIGTERM or Ctrl-C."""
    options = configure(
        config,
        set_,
        tenant__data=data,
        tenant__domains=domain,
        server__host=host,
        server__port=port,
        server__tls_certificate=tls_certificate,
        server__tls_key=tls_key,
        auth__token_file=token_file,
    )
    loaded = load_domain(options.tenant.domains)
    if options.tenant.data.is_dir():
        look_at(options.tenant.data)  # What cannot be served is said before a token is asked for.
    if demo:
        if repository is not None:
            open_repository(repository)  # What was named and cannot be read is told before anything begins.
        mint_development_token(options.tenant.data)
    auth = _auth(options)
    server = Server(
        options.server,
        auth,
        options.sessions,
        data=options.tenant.data,
        snapshots=options.snapshot,
        maintenance=options.maintenance,
        backup=options.backup,
        audit=options.audit,
    )

    def ready(listening_host: str, listening_port: int) -> None:
        there = replace(options, server=replace(options.server, host=listening_host, port=listening_port))
        try:
            announce(options.tenant.data, listens_at(there))
        except OSError as error:  # A full disk: whoever looks for this tenant has to be told where it is.
            note(f"the directory does not say where it is served ({error}): commands beside it need --url")
        _tell_listening(there, sources_of(auth), json=json)
        if demo:
            threading.Thread(target=_run_demo, args=(there, repository), kwargs={"json": json}, daemon=True).start()

    # A timer that outlived its handler would end the process by SIGALRM, while it stops in order.
    with closing(server), closing(SignalDeadline(options.engine.reducer_time_max_ms / 1000)) as deadline:
        engine = open_tenant(options, loaded, deadline)
        _tell_recovery(engine.report, options.tenant.data, json=json)
        try:
            server.run(engine, on_ready=ready, on_stop=partial(withdraw, options.tenant.data))
        except KeyboardInterrupt:  # uvicorn raises it again once all is closed in order.
            note("stopped")


def open_tenant(options: Config, domain: Domain, deadline: Deadline) -> Engine:
    """The real world's engine on the generation in force, with a progress bar where recovery takes a while.

    Before a change of the tables is logged a snapshot is taken of what was there, for the way back.
    """
    root = options.tenant.data
    expect_not_around_one(root)
    generation = generation_of(root)
    disk = PosixDisk(generation, root=root)
    world = World(disk, SystemClock(), WriterEntropy(), deadline)

    def before_migration(migration: Migration) -> None:
        taken = take(disk, clock=world.clock, options=options.snapshot, through=migration.offset)
        note(
            f"the tables change, so snapshot {snapshot_name(taken.manifest.offset)} was taken before: "
            f"`store restore {shlex.quote(str(root))} --snapshot {taken.manifest.offset}` goes back to it"
        )

    columns = (
        TextColumn("{task.fields[phase]}"),
        BarColumn(),
        DownloadColumn(),
        TextColumn("offset {task.fields[offset]:,}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, transient=True, disable=not stderr.is_terminal, console=stderr) as bar:
        task = bar.add_task("", total=None, offset=0, phase="recovering")

        def told(done: RecoveryProgress) -> None:
            bar.update(
                task, completed=done.bytes_done, total=done.bytes_total, offset=done.transactions, phase=done.phase
            )

        gc.disable()  # Of all that a recovery makes, next to nothing is garbage; the server collects once it begins.
        try:
            return open_engine(
                world,
                domain,
                options=options.engine,
                log_options=options.log,
                progress=told,
                before_migration=before_migration,
                configuration=_in_force(options),
                acts=owed_acts(root, generation),
            )
        finally:
            gc.enable()


def _in_force(options: Config) -> dict[str, str]:
    """The options that are set, as the log keeps them: no option holds a secret."""
    return {each.option.key: each.text for each in options.settings if each.source != "default"}


def _auth(options: Config) -> AuthOptions:
    """The token file lies in the data directory where no source of tokens is named."""
    auth = options.auth
    if auth.token_file or auth.jwt_secret_file or auth.jwt_public_key_file:
        return auth
    file = options.tenant.data / TOKENS_FILE
    if not file.exists():
        raise ConfigError(
            f"there is no {file}, so nobody could come in",
            hint=f"`store token mint --data {shlex.quote(str(options.tenant.data))}` makes one, with a first token",
        )
    return replace(auth, token_file=file)


def _tell_recovery(report: RecoveryReport, data: Path, *, json: bool) -> None:
    if json:
        print_json({"event": "recovered", "data": str(data), **to_plain(asdict(report))})
    else:
        stdout.print(f"{report}", markup=False, soft_wrap=True)


def _tell_listening(options: Config, tokens: list[str], *, json: bool) -> None:
    url, server = listens_at(options), options.server
    if json:
        print_json({"event": "listening", "url": url, "host": server.host, "port": server.port, "tokens": tokens})
    else:
        stdout.print(f"listening on {url}", markup=False, soft_wrap=True)
        note(f"tokens are taken from: {'; '.join(tokens)}")


def _run_demo(options: Config, repository: Path | None, *, json: bool) -> None:
    """The demo in a process of its own, since this one has one loop and is busy with it; then what to try next."""
    url = listens_at(options)
    environment = {**os.environ, "STORE_TOKEN": token_of(options, None)}
    if options.server.tls_certificate is not None:
        environment.setdefault("SSL_CERT_FILE", str(options.server.tls_certificate))
    command = [sys.executable, "-m", "store", "demo", "--url", url]
    command += [] if repository is None else ["--repository", str(repository)]
    command += ["--json"] if json else []
    ended = subprocess.run(command, env=environment, check=False)  # noqa: S603  # Our own.
    with suppress(Left, Untold):  # The tenant serves on, whether anybody hears of its demo or not.
        if json:
            print_json({"event": "demo", "url": url, "exit": ended.returncode})
            return
        ran = ended.returncode in {Exit.DONE, Exit.CHECK_FAILED}
        stdout.print(what_next(options, ran=ran), markup=False, soft_wrap=True)


def own_name() -> str:
    """How a shell here finds this program: by its name, else by the path it was started from."""
    started = Path(sys.argv[0])
    if shutil.which("store") or started.name != "store":
        return "store"
    return shlex.quote(os.path.relpath(started))


def about_the_trail(options: Config, store: str) -> tuple[str, ...]:
    """How to look at the audit trail and verify it, by its newest key once anything is proven; () without a trail."""
    if not options.audit.on:
        return ()
    data = shlex.quote(str(options.tenant.data))
    places = places_of(options.tenant.data, options.audit)
    try:
        said = msgspec.json.decode(places.status.read_bytes(), type=dict[str, Any])
        url, key, proven = str(said["url"]), str(said["key"]), int(said["checkpoint_events"])
    except (OSError, msgspec.MsgspecError, KeyError):  # Its process has not said anything yet.
        proven = 0
    if not proven:
        return (f"{store} audit status {data}", f"{store} audit verify {data}")
    place = os.path.relpath(url) if Path(url).is_absolute() else url
    return (
        f"{store} audit status {data}",
        f"{store} audit verify {shlex.quote(place)} --key {shlex.quote(key)}",
    )


def what_next(options: Config, *, ran: bool) -> str:
    """Commands to try against a tenant; those about the demo's accounts only where it `ran` and opened them."""
    url, data = listens_at(options), shlex.quote(str(options.tenant.data))
    where = f"--data {data} --url {url}"
    account = FIRST_ACCOUNT
    store = own_name()
    about_accounts = (
        f"  {store} watch 'SELECT * FROM accounts' {where}",  # noqa: S608  # Words for a shell, not for a database.
        f"  {store} call deposit {account} 100 {where}",
        f"  {store} query 'SELECT * FROM accounts WHERE id = $1' {account} {where}",  # noqa: S608  # As above.
    )
    lines = (
        f"serving goes on at {url}; try next, in another terminal:",
        "",
        *(about_accounts if ran else ()),
        f"  {store} log verify {data}",
        *(f"  {each}" for each in about_the_trail(options, store)),
        "",
        f"the development token is in {development_token(options.tenant.data)}:",
        "",
        f"  export STORE_URL={url} STORE_TOKEN={token_of(options, None)}",
    )
    return "\n".join(lines)
