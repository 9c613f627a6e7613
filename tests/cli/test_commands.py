"""The rules of the commands that ask a running tenant: what they print, and what they end with."""

import json
import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from store.cli.app import COMMANDS, app
from store.cli.exits import Exit
from tests.cli.tenant import Ended, Tenant, environment, process, running, store


@pytest.fixture(scope="module")
def tenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenant]:
    """One tenant for all of it, with two accounts."""
    with running(tmp_path_factory.mktemp("tenant")) as made:
        ask(made, "call", "open_account", "1", "ada", "100")
        ask(made, "call", "open_account", "2", "bob", "50")
        yield made


def ask(tenant: Tenant, *arguments: str, exit_code: int = Exit.DONE) -> Ended:
    """A command against the tenant, which must end so."""
    ended = store(*arguments, cwd=tenant.directory, **tenant.variables)
    assert ended.returncode == exit_code, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended


def objects(text: str) -> list[Any]:
    """JSON lines."""
    return [json.loads(line) for line in text.splitlines()]


def test_call_prints_the_value_and_notes_the_offset(tenant: Tenant) -> None:
    """A result is on stdout; where it was committed is on stderr; with --json it is one object."""
    plain = ask(tenant, "call", "deposit", "id=2", "amount=1")
    assert plain.stdout == "51\n"
    assert "committed at offset" in plain.stderr
    (answer,) = objects(ask(tenant, "call", "deposit", "2", "1", "--json").stdout)
    assert answer["value"] == 52
    assert answer["offset"] > 0
    nothing = ask(tenant, "call", "transfer", "1", "2", "1")
    assert nothing.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "code", "error", "words"),
    [
        (("call", "transfer", "1", "2", "9999"), Exit.REFUSED, "refused", "overdraft"),
        (("call", "nope"), Exit.UNKNOWN_REDUCER, "unknown_reducer", "nope"),
        (("call", "transfer", "1", "2"), Exit.MALFORMED_CALL, "malformed_call", "amount"),
        (("call", "transfer", "1", "2", "much"), Exit.MALFORMED_CALL, "malformed_call", "amount"),
        (("call", "transfer", "1", "target=2", "3"), Exit.MALFORMED_CALL, "malformed_call", "mixed"),
        (("query", "SELECT * FROM acounts"), Exit.MALFORMED_QUERY, "malformed_query", "acounts"),
        (("watch", "SELECT nothing"), Exit.MALFORMED_QUERY, "malformed_query", ""),
        (("call", "total", "--token", "wrong"), Exit.DENIED, "denied", "token"),
        (("call", "total", "--url", "ws://127.0.0.1:1"), Exit.UNREACHABLE, "Unreachable", "127.0.0.1:1"),
        (("call", "total", "--url", "gopher://x"), Exit.CONFIG, "ConfigError", "gopher"),
        (("query", "SELECT * FROM accounts", "--ca", "missing.pem"), Exit.CONFIG, "ConfigError", "missing.pem"),
        (("call", "total", "--config", "missing.toml"), Exit.CONFIG, "ConfigError", "missing.toml"),
    ],
)
def test_an_error_is_words_and_a_code(
    tenant: Tenant, arguments: tuple[str, ...], code: Exit, error: str, words: str
) -> None:
    """What goes wrong is said on stderr alone, with --json as one object, and has an exit code of its own."""
    plain = ask(tenant, *arguments, exit_code=code)
    assert plain.stdout == ""
    assert words in plain.stderr
    (said,) = objects(ask(tenant, *arguments, "--json", exit_code=code).stderr)
    assert (said["error"], said["exit"]) == (error, code)
    assert words in said["message"] + said.get("reason", "")


def test_debug_shows_where(tenant: Tenant) -> None:
    """Only with --debug an error comes with its traceback."""
    ended = store("--debug", "call", "nope", cwd=tenant.directory, **tenant.variables)
    assert "Traceback" in ended.stderr
    assert ended.returncode == Exit.UNKNOWN_REDUCER


def test_no_answer_in_time_has_its_own_code(tenant: Tenant) -> None:
    """Past --timeout a command ends, and says that a call may have run."""
    ended = ask(tenant, "call", "total", "--timeout", "0", exit_code=Exit.TIMEOUT)
    assert "look before calling again" in ended.stderr


SLOW = """
import pathlib
import time

from store.engine.reducer import Context, reducer


@reducer
def wait(ctx: Context) -> int:
    began = pathlib.Path("began")
    if not began.exists():
        began.touch()
        time.sleep(60)
    return 7
"""
"""A reducer during whose first call there is time to kill its tenant."""


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_call_whose_server_vanishes_says_so_once(tmp_path: Path, form: tuple[str, ...]) -> None:
    """While it waits for the server to come back, on stderr; then it has its answer."""
    (tmp_path / "slow.py").write_text(SLOW)
    tenant = Tenant(tmp_path, "--domain", "slow", "--set", "engine.reducer_time_max_ms=60000")
    tenant.start()
    calling = subprocess.Popen(
        [sys.executable, "-m", "store", "call", "wait", *form],
        cwd=tmp_path, env=environment(**tenant.variables), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not (tmp_path / "began").exists():
        assert calling.poll() is None
        time.sleep(0.02)
    tenant.kill()
    assert calling.stderr is not None
    told = calling.stderr.readline()
    assert "connection lost, coming back …" in told
    assert not form or json.loads(told)["event"] == "connection_lost"
    tenant.start()
    value, further = calling.communicate(timeout=60)
    tenant.kill()
    assert calling.returncode == Exit.DONE
    assert (json.loads(value)["value"] if form else value) in {7, "7\n"}
    assert "connection lost" not in further


def test_query_prints_rows(tenant: Tenant) -> None:
    """Rows are a table for people, and JSON lines by column name for programs; parameters are JSON or text."""
    plain = ask(tenant, "query", "SELECT * FROM accounts WHERE owner = $1", "ada")
    assert "ada" in plain.stdout
    assert "balance" in plain.stdout
    assert "1 row at offset" in plain.stderr
    (row,) = objects(ask(tenant, "query", "SELECT * FROM accounts WHERE id = $1", "1", "--json").stdout)
    assert (row["id"], row["owner"]) == (1, "ada")
    assert ask(tenant, "query", "SELECT * FROM accounts WHERE id = 77", "--json").stdout == ""


def test_a_column_is_shown_whatever_its_name(tenant: Tenant) -> None:
    """Also one that no attribute can have, and one that reads like markup: a table has columns, not attributes."""
    ended = ask(tenant, "query", 'SELECT count(*) AS "how many", sum(balance) + 1 AS "[/x]", 7 * max(id) FROM accounts')
    assert "how many" in ended.stdout
    assert "[/x]" in ended.stdout
    assert "?column?" in ended.stdout
    sql = 'SELECT id AS "class", id AS "class", owner AS "who is it" FROM accounts WHERE id = 1'
    assert objects(ask(tenant, "query", sql, "--json").stdout) == [{"class": 1, "column_2": 1, "who is it": "ada"}]


def test_the_data_directory_holds_the_token(tenant: Tenant) -> None:
    """With --data a command finds the development token; without any token it says where it looked."""
    there = store("call", "total", "--data", "data", "--url", tenant.url, cwd=tenant.directory)
    assert there.returncode == Exit.DONE
    nowhere = store("call", "total", "--data", "elsewhere", "--url", tenant.url, cwd=tenant.directory)
    assert nowhere.returncode == Exit.CONFIG
    assert "elsewhere/development/token" in nowhere.stderr


def test_watch_prints_json_lines(tenant: Tenant) -> None:
    """First the rows, then each transaction that changes them, each at once on a line of its own."""
    watching = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "store",
            "watch",
            "SELECT * FROM accounts WHERE owner = 'cyd'",
            "--count",
            "2",
            "--json",
        ],
        cwd=tenant.directory,
        env=environment(**tenant.variables),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert watching.stdout is not None
    first = json.loads(watching.stdout.readline())
    assert (first["event"], first["rows"]) == ("rows", [])
    ask(tenant, "call", "open_account", "3", "cyd", "1")
    inserted = json.loads(watching.stdout.readline())
    ask(tenant, "call", "deposit", "3", "1")
    updated = json.loads(watching.stdout.readline())
    assert watching.wait(30) == Exit.DONE
    watching.stdout.close()
    assert inserted["changes"] == [{"change": "insert", "key": 3, "after": {"id": 3, "owner": "cyd", "balance": 1}}]
    (change,) = updated["changes"]
    assert (change["change"], change["before"]["balance"], change["after"]["balance"]) == ("update", 1, 2)
    assert updated["offset"] > inserted["offset"] > first["offset"] - 1
    assert not updated["reset"]


def test_watch_names_columns_as_the_query_does(tenant: Tenant) -> None:
    """In its first rows and in what changes, whatever the name."""
    sql = "SELECT id, balance AS \"the balance\" FROM accounts WHERE owner = 'eve'"
    watching = subprocess.Popen(
        [sys.executable, "-m", "store", "watch", sql, "--count", "1", "--json"],
        cwd=tenant.directory,
        env=environment(**tenant.variables),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert watching.stdout is not None
    watching.stdout.readline()
    ask(tenant, "call", "open_account", "5", "eve", "1")
    told = json.loads(watching.stdout.readline())
    assert watching.wait(30) == Exit.DONE
    watching.stdout.close()
    assert told["changes"] == [{"change": "insert", "key": 5, "after": {"id": 5, "the balance": 1}}]
    first = store("watch", sql, "--count", "0", "--json", cwd=tenant.directory, **tenant.variables)
    assert json.loads(first.stdout)["rows"] == [{"id": 5, "the balance": 1}]


def test_watch_prints_words_into_a_pipe(tenant: Tenant) -> None:
    """As `query` does: a table of the rows, then a line for each change; JSON only where it was asked for."""
    sql = "SELECT id, owner, balance AS \"the balance\" FROM accounts WHERE owner = 'fay\nfay'"
    watching = subprocess.Popen(
        [sys.executable, "-m", "store", "watch", sql, "--count", "2"],
        cwd=tenant.directory, env=environment(**tenant.variables), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert watching.stderr is not None
    assert watching.stderr.readline().startswith("0 rows at offset ")
    ask(tenant, "call", "open_account", "6", '"fay\\nfay"', "1")
    ask(tenant, "call", "deposit", "6", "1")
    said, _ = watching.communicate(timeout=60)
    assert watching.returncode == Exit.DONE
    *table, inserted, updated = said.splitlines()
    assert "the balance" in "".join(table)
    assert re.fullmatch(r"\d+ [0-9:.]+ \+ id 6, owner fay\\u000afay, the balance 1", inserted)
    assert re.fullmatch(r"\d+ [0-9:.]+ ~ id 6, owner fay\\u000afay, the balance 2", updated)
    for form, first in (((), "┏"), (("--json",), "{")):
        again = store("watch", sql, "--count", "0", *form, cwd=tenant.directory, **tenant.variables)
        assert again.stdout.startswith(first)


def test_watch_paints_on_a_terminal(tenant: Tenant) -> None:
    """On a terminal the changes are a table that says how many rows there are and at which offset, without markup."""
    sql = "SELECT id, balance AS \"the [/b]\" FROM accounts WHERE owner = 'dan'"
    leader, follower = pty.openpty()
    watching = subprocess.Popen(
        [sys.executable, "-m", "store", "watch", sql, "--count", "1"],
        cwd=tenant.directory,
        env=environment(TERM="xterm", **tenant.variables),
        stdout=follower,
    )
    os.close(follower)
    painted = b""
    while b"0 rows at offset" not in painted:
        painted += os.read(leader, 65_536)
    ask(tenant, "call", "open_account", "4", "dan", "12345")
    while chunk := _read_to_end(leader):
        painted += chunk
    os.close(leader)
    assert watching.wait(30) == Exit.DONE
    assert b"12345" in painted
    assert b"the [/b]" in painted
    assert b"1 rows at offset" in painted


def _read_to_end(file: int) -> bytes:
    """More of what was painted; Linux says EIO where the other side is closed."""
    try:
        return os.read(file, 65_536)
    except OSError:
        return b""


def test_a_second_process_on_the_directory_is_refused(tenant: Tenant) -> None:
    """A directory that is in use is a directory error that names the process, and disturbs nobody."""
    assert tenant.process is not None
    ended = process("serve", "--data", "data", "--port", "0", cwd=tenant.directory)
    assert ended.returncode == Exit.DIRECTORY
    assert str(tenant.process.pid) in ended.stderr
    ask(tenant, "call", "total")


def test_a_port_that_is_taken_is_refused(tenant: Tenant, tmp_path: Path) -> None:
    """A port that somebody else listens on is an error before anything is opened."""
    assert store("token", "mint", cwd=tmp_path).returncode == Exit.DONE
    ended = process("serve", "--port", str(tenant.port), cwd=tmp_path)
    assert ended.returncode == Exit.CONFIG
    assert str(tenant.port) in ended.stderr
    assert not (tmp_path / "data" / "log").exists()


def test_a_command_waits_for_no_other_ones_import(tmp_path: Path) -> None:
    """`store call` loads neither the server nor the trail; help names all commands, in their order."""
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "store", "call", "--help"],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True, timeout=60,
    ).stderr  # fmt: skip
    assert "store.client.connection" in loaded
    assert "store.server.app" not in loaded
    assert "store.audit.shipping.shipper" not in loaded
    assert "sqlglot" not in loaded
    shown = store("--help", cwd=tmp_path).stdout
    places = [shown.index(f"\n  {name} ") for name in COMMANDS]
    assert places == sorted(places)


def test_help_names_groups_behind_commands() -> None:
    """What does something stands first, as in the help of every group."""
    root = typer.main.get_group(app)
    groups = [isinstance(root.commands[name], typer.core.TyperGroup) for name in COMMANDS]
    assert groups == sorted(groups)


def test_a_command_that_is_not_there_is_told_with_those_that_are_like_it(tmp_path: Path) -> None:
    """A slip of the fingers gets the name that was meant."""
    ended = store("snapshto", cwd=tmp_path)
    assert ended.returncode == Exit.USAGE
    assert "Did you mean 'snapshot'?" in ended.stderr
