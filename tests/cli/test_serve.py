"""The rules of `store serve`, and of commands that need no tenant."""

import gc
import importlib
import json
import shlex
import signal
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NoReturn

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from store import config
from store.cli.arguments import configure
from store.cli.exits import _BY_NAME, Exit, FailedThere, exit_of
from store.cli.serve import about_the_trail, open_tenant, own_name, what_next
from store.engine.reducer import Domain
from store.env.memory import NoDeadline
from store.errors import CALL_ERRORS, CallError, CorruptionError, StoreError
from tests.cli.tenant import ROOT, Tenant, environment, process, store


def test_the_collector_rests_while_a_tenant_recovers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a recovery makes stays; afterwards the collector goes on, also where the recovery failed."""
    resting: list[bool] = []

    def recovering(*_: Any, **__: Any) -> NoReturn:
        resting.append(not gc.isenabled())
        raise CorruptionError("found nothing", file="log/1", position=0)

    monkeypatch.setattr("store.cli.serve.open_engine", recovering)
    options = configure(None, None, tenant__data=tmp_path / "data")
    with pytest.raises(CorruptionError):
        open_tenant(options, Domain((), {}), NoDeadline())
    assert (resting, gc.isenabled()) == ([True], True)


def test_a_tenant_stops_in_order_and_comes_back(tmp_path: Path) -> None:
    """SIGTERM ends a tenant in order; the next start says what it found."""
    tenant = Tenant(tmp_path)
    tenant.start()
    assert tenant.recovered["replayed"] == 0
    called = store("call", "open_account", "1", "ada", "5", cwd=tmp_path, **tenant.variables)
    assert called.returncode == Exit.DONE, called.stderr
    assert tenant.stop() in {0, -15}
    tenant.start()
    assert tenant.recovered["event"] == "recovered"
    assert tenant.recovered["cut_bytes"] == 0
    assert tenant.recovered["last_offset"] > 0
    tenant.kill()


def test_without_tokens_nobody_could_come_in(tmp_path: Path) -> None:
    """A tenant without a source of tokens does not start, and says how to make one; nothing is written."""
    ended = process("serve", "--port", "0", cwd=tmp_path)
    assert ended.returncode == Exit.CONFIG
    assert "store token mint --data data" in ended.stderr
    assert not (tmp_path / "data").exists()


def test_a_start_says_which_tokens_are_taken(tmp_path: Path) -> None:
    """By which files; `token mint` says so where they are not those that it writes, and so does who turns one away."""
    assert store("token", "keys", "keys", "--secret", cwd=tmp_path).returncode == Exit.DONE
    (tmp_path / "store.toml").write_text('[auth]\njwt_secret_file = "keys/jwt.secret"\n')
    minted = store("token", "mint", cwd=tmp_path)
    assert "takes no token file as it is configured here, only JSON Web Tokens (HS256), by the secret " in minted.stderr
    assert "start it with --token-file data/tokens" in minted.stderr
    tenant = Tenant(tmp_path)
    tenant.start()
    assert tenant.listening["tokens"] == ["JSON Web Tokens (HS256), by the secret keys/jwt.secret"]
    denied = store("call", "total", cwd=tmp_path, **tenant.variables)
    assert "Only JSON Web Tokens are taken here" in denied.stderr
    made = store("token", "jwt", "ada", "--key", "keys/jwt.secret", cwd=tmp_path).stdout.strip()
    assert store("call", "total", cwd=tmp_path, STORE_URL=tenant.url, STORE_TOKEN=made).returncode == Exit.DONE
    tenant.kill()


def test_a_start_with_a_token_file_says_so(tmp_path: Path) -> None:
    """In words on stderr; `token mint` has nothing to add there."""
    minted = store("token", "mint", cwd=tmp_path)
    assert "configured" not in minted.stderr
    serving = subprocess.Popen(
        [sys.executable, "-m", "store", "serve", "--port", "0"],
        cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert serving.stderr is not None
        assert serving.stderr.readline() == "tokens are taken from: the token file data/tokens\n"
    finally:
        serving.kill()
        serving.communicate()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--domain", "reducers.acounts"), Exit.CONFIG, "Did you mean reducers.accounts"),
        (("--domain", "broken"), Exit.CONFIG, "ZeroDivisionError"),
        (("--set", "log.segment_sise_max=1"), Exit.CONFIG, "Did you mean log.segment_size_max"),
        (("--set", "log.segment_size_max"), Exit.CONFIG, "SECTION.OPTION=VALUE"),
        (("--port", "99999"), Exit.CONFIG, "port"),
        (("--tls-key", "x.pem"), Exit.CONFIG, "tls_certificate"),
        (("--prot", "1"), Exit.USAGE, "--port"),
        (("--data", "afile"), Exit.DIRECTORY, "afile"),
        (("--data", "around"), Exit.DIRECTORY, "--data around/data"),
        (("--demo", "--repository", "."), Exit.CONFIG, "not inside a git repository"),
    ],
)
def test_what_cannot_be_served_is_refused(tmp_path: Path, arguments: tuple[str, ...], code: Exit, words: str) -> None:
    """A bad option, domain or directory ends the start with one clear error and its exit code."""
    (tmp_path / "broken.py").write_text("1 / 0\n")
    (tmp_path / "afile").write_text("here\n")
    (tmp_path / "around" / "data").mkdir(parents=True)
    (tmp_path / "around" / "data" / "store.json").write_text("{}\n")
    (tmp_path / "tokens").write_text("")
    ended = process("serve", "--token-file", "tokens", "--port", "0", *arguments, cwd=tmp_path)
    assert ended.returncode == code, ended.stderr
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_foreign_directory_is_refused(tmp_path: Path) -> None:
    """A directory with other files is not taken for a store's."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "thesis.txt").write_text("mine")
    assert store("token", "mint", cwd=tmp_path).returncode == Exit.DONE
    ended = process("serve", "--port", "0", cwd=tmp_path)
    assert ended.returncode == Exit.DIRECTORY
    assert "thesis.txt" in ended.stderr


def test_the_demo_runs_once_and_serving_goes_on(tmp_path: Path) -> None:
    """With --demo a fresh directory is enough: it mints its token, imports a repository, and says what to try next."""
    repository = tmp_path / "repository"
    repository.mkdir()
    for command in (
        ["init", "--quiet"],
        ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "commit", "--quiet", "--allow-empty", "-m", "one"],
    ):
        subprocess.run(["git", *command], cwd=repository, check=True, env=environment())
    serving = subprocess.Popen(
        [sys.executable, "-m", "store", "serve", "--demo", "--port", "0", "--repository", "repository", "--json"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert serving.stdout is not None
    assert serving.stderr is not None
    events: list[dict[str, Any]] = []
    while not events or events[-1].get("event") != "demo":
        line = serving.stdout.readline()
        assert line, serving.stderr.read()
        events.append(json.loads(line))
    recovered, listening, summary, ended = events
    assert (recovered["event"], listening["event"], ended["exit"]) == ("recovered", "listening", 0)
    assert summary["commits"] == 1
    there = store("query", "SELECT * FROM commits", "--json", "--url", listening["url"], cwd=tmp_path)
    assert json.loads(there.stdout)["subject"] == "one", there.stderr
    serving.send_signal(signal.SIGINT)
    _, said = serving.communicate(timeout=30)
    assert serving.returncode == Exit.DONE, "Ctrl-C is how one stops it"
    assert said.endswith("stopped\n")


def test_what_the_demo_suggests_works(tmp_path: Path) -> None:
    """Without git the demo says so once, moves money all the same, and every command it suggests then succeeds."""
    serving = subprocess.Popen(
        [sys.executable, "-m", "store", "serve", "--demo", "--port", "0"],
        cwd=tmp_path,
        env=environment(PATH=str(tmp_path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert serving.stdout is not None
        said: list[str] = []
        while not said or not said[-1].startswith("  export STORE_URL="):
            said.append(serving.stdout.readline())
            assert said[-1], "it ended"
        suggested = [shlex.split(line)[1:] for line in said if line.startswith("  store ")]
        assert [words[0] for words in suggested][:4] == ["watch", "call", "query", "log"]
        assert {tuple(words[:2]) for words in suggested[4:]} <= {("audit", "status"), ("audit", "verify")}
        for words in suggested:
            if words[0] == "audit":
                _wait_for_a_checkpoint(tmp_path)
            ended = store(*words, *(["--count", "0"] if words[0] == "watch" else []), cwd=tmp_path)
            assert ended.returncode == Exit.DONE, ended.stderr
        serving.send_signal(signal.SIGINT)
        _, complaints = serving.communicate(timeout=30)
        assert complaints.count("git is not installed") == 1
        assert serving.returncode == Exit.DONE
    finally:
        serving.kill()
        serving.communicate()


def _wait_for_a_checkpoint(folder: Path) -> None:
    """Until something of the trail is proven: a few seconds after what happened, once its process has started."""
    for _ in range(120):
        said = store("audit", "status", "data", "--json", cwd=folder)
        if said.returncode == Exit.DONE and json.loads(said.stdout)["checkpoint_events"]:
            return
    raise AssertionError(said.stdout)


def test_after_a_demo_that_could_not_run_its_accounts_are_not_suggested(tmp_path: Path) -> None:
    """What to try next names only what is there."""
    (tmp_path / "development").mkdir()
    (tmp_path / "development" / "token").write_text("token")
    options = configure(None, None, tenant__data=tmp_path)
    assert "store call deposit" in what_next(options, ran=True)
    assert "accounts" not in what_next(options, ran=False)
    assert "store log verify" in what_next(options, ran=False)


def test_how_to_verify_the_trail_is_said(tmp_path: Path) -> None:
    """With the key once something is proven, before that by the data directory; nothing where no trail is written."""
    (tmp_path / "data.audit").mkdir()
    status = tmp_path / "data.audit" / "status.json"
    options = configure(None, None, tenant__data=tmp_path / "data")
    by_data = ["store audit status " + str(tmp_path / "data"), "store audit verify " + str(tmp_path / "data")]
    assert list(about_the_trail(options, "store")) == by_data
    status.write_text('{"url": "/elsewhere", "key": "name+12345678+AQ", "checkpoint_events": 0}')
    assert list(about_the_trail(options, "store")) == by_data
    status.write_text('{"url": "s3://bucket/x", "key": "name+12345678+AQ", "checkpoint_events": 7}')
    assert about_the_trail(options, "store")[1] == "store audit verify s3://bucket/x --key name+12345678+AQ"
    off = configure(None, ["audit.on=false"], tenant__data=tmp_path / "data")
    assert about_the_trail(off, "store") == ()


def test_the_development_token_is_for_its_owner_alone(tmp_path: Path) -> None:
    """A minted token's hash is in the token file; the first for the developer is kept, readable by its owner alone."""
    minted = store("token", "mint", cwd=tmp_path)
    token = minted.stdout.strip()
    kept = tmp_path / "data" / "development" / "token"
    assert kept.read_text().strip() == token
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert token not in (tmp_path / "data" / "tokens").read_text()
    hashed = json.loads(store("token", "hash", "--json", cwd=tmp_path, stdin=f"{token}\n").stdout)["hash"]
    assert (tmp_path / "data" / "tokens").read_text().startswith(hashed)
    again = json.loads(
        store("token", "mint", "ada", "--scope", "read", "--lifetime", "60", "--json", cwd=tmp_path).stdout
    )
    assert kept.read_text().strip() == token
    assert again["subject"] == "ada"
    line = (tmp_path / "data" / "tokens").read_text().splitlines()[1]
    assert '"scope": "read"' in line
    assert '"exp"' in line


def test_a_bad_scope_is_refused(tmp_path: Path) -> None:
    """A scope that means nothing is refused with those there are."""
    for command in (
        ("token", "mint", "ada", "--scope", "rule"),
        ("token", "jwt", "ada", "--key", "k", "--scope", "rule"),
    ):
        (tmp_path / "k").write_text("x" * 64)
        ended = store(*command, cwd=tmp_path)
        assert ended.returncode == Exit.CONFIG
        assert "call, read, operate" in ended.stderr


@pytest.mark.parametrize("secret", [True, False])
def test_keys_sign_tokens_that_a_tenant_takes(tmp_path: Path, secret: bool) -> None:  # noqa: FBT001  # A parameter.
    """A JWT signed with a made key, secret or pair, lets its holder in; keys are never overwritten."""
    made = json.loads(store("token", "keys", "keys", "--json", *(["--secret"] if secret else []), cwd=tmp_path).stdout)
    again = store("token", "keys", "keys", *(["--secret"] if secret else []), cwd=tmp_path)
    assert again.returncode == Exit.CONFIG
    assert "exists already" in again.stderr
    signing = made["jwt_secret_file" if secret else "jwt_private_key_file"]
    checking = made["jwt_secret_file" if secret else "jwt_public_key_file"]
    token = store("token", "jwt", "ada", "--key", signing, "--issuer", "me", cwd=tmp_path).stdout.strip()
    (tmp_path / "store.toml").write_text(
        f'[auth]\n{"jwt_secret_file" if secret else "jwt_public_key_file"} = "{checking}"\n'
    )
    tenant = Tenant(tmp_path)
    tenant.start()
    try:
        ended = store("call", "total", "--json", cwd=tmp_path, STORE_URL=tenant.url, STORE_TOKEN=token)
        assert ended.returncode == Exit.DONE, ended.stderr
    finally:
        tenant.kill()


def test_a_certificate_is_trusted_where_it_is_named(tmp_path: Path) -> None:
    """With a certificate and its key the tenant speaks TLS; a client trusts it by --ca, and not otherwise."""
    make_certificate(tmp_path)
    tenant = Tenant(tmp_path, "--tls-certificate", "cert.pem", "--tls-key", "key.pem", scheme="wss")
    tenant.start()
    try:
        trusting = store("call", "total", "--json", "--ca", "cert.pem", cwd=tmp_path, **tenant.variables)
        assert json.loads(trusting.stdout)["value"] == 0, trusting.stderr
        wary = store("call", "total", cwd=tmp_path, **tenant.variables)
        assert wary.returncode == Exit.UNREACHABLE
        assert "certificate" in wary.stderr
    finally:
        tenant.kill()


def make_certificate(folder: Path) -> None:
    """A certificate for 127.0.0.1, signed by itself, and its key."""
    key = Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, None)
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))


def test_config_lists_every_option(tmp_path: Path) -> None:
    """Every option is shown with its value, source, unit, default and page."""
    (tmp_path / "store.toml").write_text("[server]\nport = 1234\n")
    listed = store("config", "--json", "--set", "log.segment_size_max=1MiB", cwd=tmp_path, STORE_SERVER_HOST="::1")
    lines = {line["option"]: line for line in map(json.loads, listed.stdout.splitlines())}
    assert set(lines) == set(config.options())
    assert lines["server.port"]["value"] == "1234"
    assert lines["server.port"]["from"] == "store.toml [server]"
    assert lines["server.host"]["from"] == "STORE_SERVER_HOST"
    assert lines["log.segment_size_max"]["value"] == "1MiB"
    assert lines["log.segment_size_max"]["from"] == "--set"
    assert all(line["doc"] and line["unit"] for line in lines.values())
    table = store("config", cwd=tmp_path).stdout
    assert all(option.name in table for option in config.options().values())


@pytest.mark.parametrize(
    "command",
    ["serve", "call", "query", "watch", "demo", "config", "log dump", "log verify"]
    + [f"token {each}" for each in ("mint", "hash", "keys", "jwt")],
)
def test_every_command_has_help_and_json(command: str) -> None:
    """Each command explains itself, and has --json."""
    ended = store(*command.split(), "--help", cwd=ROOT)
    assert ended.returncode == Exit.DONE
    assert "--json" in ended.stdout


def test_every_error_has_an_exit_code() -> None:
    """Each error of the words, the client and the commands ends with a code of its own; anything else is a bug."""
    kinds = [kind for kind in StoreError.__subclasses__() if kind not in (CallError, FailedThere)]
    kinds = [kind for kind in kinds if kind.__module__.split(".")[1] in ("errors", "client", "cli")]
    codes = [exit_of(kind.__new__(kind)) for kind in [*kinds, *CALL_ERRORS.values()]]
    assert Exit.BUG not in codes
    assert len(set(codes)) == len(codes)
    assert exit_of(RuntimeError()) == Exit.BUG
    for name, code in _BY_NAME.items():
        module, _, kind = name.rpartition(".")
        named = getattr(importlib.import_module(module), kind)
        assert exit_of(named.__new__(named)) == code, name
    shown = store("--help", cwd=ROOT).stdout
    assert all(f" {code} " in shown for code in set(codes))


def test_what_is_suggested_can_be_typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where `store` is not on the path, the suggested commands begin with the file that was started."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [str(tmp_path / ".venv" / "bin" / "store"), "serve"])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert own_name() == ".venv/bin/store"
    monkeypatch.setattr("sys.argv", [str(tmp_path / "store" / "__main__.py"), "serve"])
    assert own_name() == "store"
