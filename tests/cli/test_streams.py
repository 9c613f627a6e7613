"""The rules of what becomes of a command whose words nobody takes."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from store.cli.exits import Exit
from store.cli.streams import Left, Untold, telling_of
from tests.cli.tenant import Ended, Tenant, environment, running, store

FULL = Path("/dev/full")
"""A device that has no room for anything."""


@pytest.fixture(scope="module")
def tenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenant]:
    """One tenant for all of it, with an account."""
    with running(tmp_path_factory.mktemp("tenant")) as made:
        assert store("call", "open_account", "1", "ada", "0", cwd=made.directory, **made.variables).returncode == 0
        yield made


def into(tenant: Tenant, *arguments: str, stdout: Any, stderr: Any = subprocess.PIPE, **more: str) -> Ended:
    """A command whose words go there, and how it ended."""
    ended = subprocess.run(
        [sys.executable, "-m", "store", *arguments],
        cwd=tenant.directory, env=environment(**tenant.variables, **more), stdout=stdout, stderr=stderr, timeout=60,
        check=False,
    )  # fmt: skip
    return Ended(ended.returncode, (ended.stdout or b"").decode(), (ended.stderr or b"").decode())


def into_full(tenant: Tenant, *arguments: str) -> Ended:
    """A command whose result finds no room."""
    with FULL.open("wb") as full:
        return into(tenant, *arguments, stdout=full)


def into_closed(tenant: Tenant, *arguments: str) -> Ended:
    """A command whose result goes into a pipe that nobody reads any more."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        return into(tenant, *arguments, stdout=writing)
    finally:
        os.close(writing)


def balance(tenant: Tenant) -> int:
    """What the account has."""
    found = store("query", "SELECT balance FROM accounts", "--json", cwd=tenant.directory, **tenant.variables)
    return int(json.loads(found.stdout)["balance"])


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_call_whose_value_cannot_be_written_is_committed(tenant: Tenant, form: tuple[str, ...]) -> None:
    """It says so, with its offset, and advises against running it again; no code of the store's disk."""
    before = balance(tenant)
    ended = into_full(tenant, "call", "deposit", "1", "5", *form)
    assert ended.returncode == Exit.UNTOLD
    assert "the call was committed at offset " in ended.stderr
    assert "No space left" in ended.stderr
    assert "Do not run it again" in ended.stderr
    assert "Exception ignored" not in ended.stderr
    assert balance(tenant) == before + 5


@pytest.mark.parametrize("arguments", [("query", "SELECT * FROM accounts"), ("log", "dump", "data"), ("config",)])
def test_a_result_that_cannot_be_written_is_said(tenant: Tenant, arguments: tuple[str, ...]) -> None:
    """Also where nothing was changed: it is no lost durability."""
    ended = into_full(tenant, *arguments)
    assert ended.returncode == Exit.UNTOLD
    assert "untold: the result could not be written to stdout" in ended.stderr


def test_a_token_that_nobody_saw_is_said(tenant: Tenant) -> None:
    """Its hash is in the file all the same, so there is a line to take out."""
    ended = into_full(tenant, "token", "mint", "bob")
    assert ended.returncode == Exit.UNTOLD
    assert "its hash is noted in data/tokens, but the result" in ended.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("query", "SELECT * FROM accounts"),
        ("query", "SELECT * FROM accounts", "--json"),
        ("watch", "SELECT * FROM accounts", "--json"),
        ("log", "dump", "data"),
        ("log", "verify", "data"),
        ("--help",),
    ],
)
def test_a_closed_pipe_ends_a_command_quietly(tenant: Tenant, arguments: tuple[str, ...]) -> None:
    """With the code that a shell has for SIGPIPE: it is no verdict."""
    ended = into_closed(tenant, *arguments)
    assert (ended.returncode, ended.stderr) == (Exit.READER_LEFT, "")


def test_a_call_whose_reader_left_says_its_offset(tenant: Tenant) -> None:
    """On stderr, where it always is."""
    ended = into_closed(tenant, "call", "deposit", "1", "5")
    assert ended.returncode == Exit.READER_LEFT
    assert ended.stderr.startswith("the call was committed at offset ")


def test_what_stderr_does_not_take_changes_nothing(tenant: Tenant) -> None:
    """The result is there, and so is the code."""
    with FULL.open("wb") as full:
        ended = into(tenant, "call", "deposit", "1", "0", stdout=subprocess.PIPE, stderr=full)
        refused = into(tenant, "call", "nope", stdout=subprocess.PIPE, stderr=full)
    assert (ended.returncode, refused.returncode) == (Exit.REFUSED, Exit.UNKNOWN_REDUCER)


def test_a_locale_that_says_nothing_means_utf_8(tenant: Tenant) -> None:
    """What was called is told, whatever the terminal is thought to take."""
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    ended = into(tenant, "query", "SELECT owner || $1 AS o FROM accounts", '"\\u00e4"', stdout=subprocess.PIPE, **plain)
    assert ended.returncode == Exit.DONE, ended.stderr
    assert "adaä" in ended.stdout


def test_an_error_of_telling_says_what_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    """With what to do; a reader who left is told nothing, stderr is."""
    with pytest.raises(Untold, match="it is done, but no room") as caught, telling_of("it is done", hint="Rest"):
        raise Untold("no room", hint="Run it again")
    assert caught.value.hint == "Rest"
    with pytest.raises(Left), telling_of("it is done", hint="Rest"):
        raise Left("gone")
    assert capsys.readouterr().err == "it is done\n"
