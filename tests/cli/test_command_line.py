"""The rules of what the shell hands over."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from store.cli.command_line import how_read
from store.cli.exits import Exit
from store.errors import MalformedCall
from tests.cli.tenant import Tenant, environment, process, running, store

BYTES = os.fsdecode(b"\xff\xfe")
"""An argument that is no text."""


@pytest.fixture(scope="module")
def tenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenant]:
    """One tenant for all of it, with an account."""
    with running(tmp_path_factory.mktemp("tenant")) as made:
        assert store("call", "open_account", "1", "ada", "100", cwd=made.directory, **made.variables).returncode == 0
        yield made


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("call", "add", BYTES), Exit.USAGE),
        (("call", BYTES), Exit.USAGE),
        (("query", BYTES), Exit.USAGE),
        (("query", "SELECT 1", BYTES), Exit.USAGE),
        (("watch", "SELECT 1", BYTES), Exit.USAGE),
        (("call", "add", "--token", BYTES), Exit.USAGE),
        (("call", "add", f"--url={BYTES}"), Exit.USAGE),
        (("call", "add", "--data", BYTES), Exit.USAGE),
        (("token", "mint", BYTES), Exit.USAGE),
        (("token", "hash", BYTES), Exit.USAGE),
        (("serve", "--set", BYTES), Exit.USAGE),
        (("log", "verify", BYTES), Exit.USAGE),
        (("audit", "verify", BYTES), Exit.CORRUPTION),
    ],
)
def test_an_argument_that_is_no_text_is_wrong_usage(tmp_path: Path, arguments: tuple[str, ...], code: Exit) -> None:
    """Of every command, before anything is done: what was expected, which argument it is, and how it reads."""
    ended = store(*arguments, cwd=tmp_path)
    assert ended.returncode == code
    assert "expected text in UTF-8 as argument " in ended.stderr
    assert "\\udcff\\udcfe'" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_variable_that_is_no_text_is_wrong_usage(tmp_path: Path) -> None:
    """As an argument is, but not shown, for it may be a secret; those of other programs are not looked at."""
    ended = process("call", "add", cwd=tmp_path, STORE_TOKEN=BYTES, OTHER=BYTES)
    assert ended.returncode == Exit.USAGE
    assert "as the variable STORE_TOKEN" in ended.stderr
    assert "udcff" not in ended.stderr


def test_text_beyond_the_locale_is_wrong_usage(tmp_path: Path) -> None:
    """It names the locale's encoding, and what gives another."""
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    ended = process("call", "add", "\udcc3\udca4", cwd=tmp_path, **plain)
    assert ended.returncode == Exit.USAGE
    assert "expected text in ASCII as argument 2" in ended.stderr
    assert "set PYTHONUTF8=1" in ended.stderr


def test_a_token_on_stdin_is_text(tmp_path: Path) -> None:
    """Bytes that are none are an error with words."""
    ended = subprocess.run(
        [sys.executable, "-m", "store", "token", "hash"],
        cwd=tmp_path, env=environment(PYTHONIOENCODING="utf-8:strict"), input=b"\xff", capture_output=True, check=False,
    )  # fmt: skip
    assert ended.returncode == Exit.CONFIG
    assert b"expected a token as text on stdin" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("call", "deposit", "1", "-5"), "amount -5"),
        (("call", "deposit", "1", "--timeout", "9", "-5"), "amount -5"),
        (("call", "deposit", "1", "--", "-5"), "amount -5"),
        (("call", "deposit", "1", "-5.5"), "`float`"),
        (("call", "deposit", "1", "-5e3", "--timeout=9"), "`float`"),
    ],
)
def test_a_negative_number_is_an_argument(tenant: Tenant, arguments: tuple[str, ...], words: str) -> None:
    """Wherever it stands, with options before and behind it."""
    ended = store(*arguments, cwd=tenant.directory, **tenant.variables)
    assert ended.returncode in {Exit.REFUSED, Exit.MALFORMED_CALL}
    assert words in ended.stderr


def test_a_negative_number_is_a_parameter(tenant: Tenant) -> None:
    """Of a query, too; and the value of an option that takes one."""
    found = store("query", "SELECT $1 + 1 AS n FROM accounts", "-5", "--json", cwd=tenant.directory, **tenant.variables)
    assert found.stdout == '{"n":-4}\n'
    late = store("call", "total", "--timeout", "-5", cwd=tenant.directory, **tenant.variables)
    assert late.returncode == Exit.TIMEOUT


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--dta", "x"), "--data"),
        (("-x",), "No such option: -x; text that begins with a minus comes behind --"),
        (("-5x",), "text that begins with a minus comes behind --"),
    ],
)
def test_a_mistyped_option_is_refused(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    """With those that are like it, or with how text that begins so is said."""
    ended = store("call", "deposit", "1", *arguments, cwd=tmp_path)
    assert ended.returncode == Exit.USAGE
    assert words in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("open_account", "3", "x=y"), "'\"a=b\"'"),
        (("open_account", "owner=1", "id=3"), "What is JSON is read as JSON; as text 1 is owner='\"1\"'"),
        (("open_account", "3", "1"), "as text 3 is '\"3\"', 1 is '\"1\"'"),
        (("open_account", "x=y"), "x=… names a parameter; text that looks like that is written as JSON: '\"x=y\"'"),
        (("deposit", "id=1", "amount=much"), "'\"amount=much\"'"),
    ],
)
def test_a_malformed_call_says_how_arguments_are_read(tenant: Tenant, arguments: tuple[str, ...], hint: str) -> None:
    """What looks like a name or like JSON and was meant as text can be said as text."""
    ended = store("call", *arguments, cwd=tenant.directory, **tenant.variables)
    assert ended.returncode == Exit.MALFORMED_CALL
    assert hint in ended.stderr


def test_what_cannot_be_read_otherwise_gets_no_hint() -> None:
    """Where a number was wanted, or what was typed is text already."""
    wrong = MalformedCall("f: the argument a is int: Expected `int`, got `str`", details={"field": "a"})
    assert how_read(wrong, ["x", 5], {}) == ""
    assert how_read(MalformedCall("f takes 1 arguments (a: str), found 2"), [5, 5], {}) == ""
    missing = MalformedCall("f: the argument a is str: Expected `str`, got `int`", details={"field": "a"})
    assert how_read(missing, ["x", "y"], {}) == ""
