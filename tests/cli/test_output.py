"""The rules of what is printed: values for people and as JSON, errors, exit codes."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from reducers.accounts import Account
from store.cli.command_line import read_arguments, read_value
from store.cli.exits import Exit, NothingThere
from store.cli.output import report, show_value, to_plain
from store.errors import ConfigError, CorruptionError, MalformedCall, Refused
from store.values import Json
from tests.cli.tenant import process


@pytest.mark.parametrize(
    ("value", "plain", "shown"),
    [
        ("text", "text", "text"),
        (5, 5, "5"),
        (2**60, str(2**60), str(2**60)),
        (b"\x00\xff", "AP8=", "AP8="),
        (None, None, "null"),
        (True, True, "true"),
        (Json({"a": [1]}), {"a": [1]}, '{"a":[1]}'),
        ((1, b"x"), [1, "eA=="], '[1,"eA=="]'),
        (datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00Z"),
        (UUID(int=1), UUID(int=1), str(UUID(int=1))),
        (Decimal("1.5"), Decimal("1.5"), "1.5"),
        (Decimal("7E+1"), Decimal("7E+1"), "70"),
        (Decimal("7E+99"), Decimal("7E+99"), "7E+99"),
        ("a\x1b[2Jb\u202ec\n\td", "a\x1b[2Jb\u202ec\n\td", "a\\u001b[2Jb\\u202ec\n\td"),
        (Account(id=1, owner="ada"), {"id": 1, "owner": "ada", "balance": 0}, '{"id":1,"owner":"ada","balance":0}'),
    ],
)
def test_values_have_one_plain_form(value: Any, plain: Any, shown: str) -> None:
    """What JSON cannot carry is text, rows are objects; people see text as it is, but nothing that moves a cursor."""
    assert to_plain(value) == plain
    assert show_value(to_plain(value)) == shown


@pytest.mark.parametrize(
    ("text", "value"),
    [("5", 5), ('"5"', "5"), ("ada", "ada"), ("[1,2]", [1, 2]), ("true", True), ("", ""), ("{x", "{x")],
)
def test_an_argument_is_json_or_text(text: str, value: Any) -> None:
    """What reads as JSON is what it says; all else is text as it stands."""
    assert read_value(text) == value


def test_arguments_are_in_order_or_by_name() -> None:
    """name=value names an argument, a URL with an equals sign does not; a mixture is refused."""
    assert read_arguments(["1", "https://x/?a=b"]) == ([1, "https://x/?a=b"], {})
    assert read_arguments(["amount=1", "owner=a=b"]) == ([], {"amount": 1, "owner": "a=b"})
    assert read_arguments(['"a=b"']) == (["a=b"], {})
    with pytest.raises(MalformedCall, match="mixed"):
        read_arguments(["1", "amount=1"])


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (
            ConfigError("[bold] is wrong", hint="Do [that]"),
            Exit.CONFIG,
            ["config error", "[bold] is wrong", "→ Do [that]"],
        ),
        (CorruptionError("odd", file="a.log", position=7), Exit.CORRUPTION, ["in a.log at byte 7"]),
        (Refused("overdraft", details={"balance": 3}), Exit.REFUSED, ["refused: overdraft\n", "balance 3"]),
        (PermissionError(13, "no"), Exit.DURABILITY_LOST, ["PermissionError"]),
        (
            OSError(28, "No space left on device"),
            Exit.DURABILITY_LOST,
            ["system error: [Errno 28] No space left", "→ Make room"],
        ),
        (OSError(99, "odd"), Exit.DURABILITY_LOST, ["odd", "→ "]),
        (NothingThere("no log"), Exit.NOTHING_THERE, ["nothing there: no log"]),
        (TimeoutError(), Exit.TIMEOUT, ["no answer in time"]),
        (TimeoutError(110, "the bucket b does not answer", "x"), Exit.TIMEOUT, [": the bucket b does not", "network"]),
        (ConnectionError(111, "cannot reach the bucket b", "x"), Exit.UNREACHABLE, [": cannot reach the", "network"]),
        (RuntimeError("oops"), Exit.BUG, ["oops", "--debug"]),
    ],
)
def test_an_error_is_one_line_and_a_hint(
    error: Exception, code: Exit, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """An error says what is wrong and what to do, on stderr, whatever brackets it holds; as JSON it is one object."""
    assert report(error, json=False) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert all(each in said.err for each in words), said.err
    assert report(error, json=True) == code
    assert json.loads(capsys.readouterr().err)["exit"] == code


def test_an_interrupt_needs_no_words(capsys: pytest.CaptureFixture[str]) -> None:
    """Who presses Ctrl-C is told nothing."""
    assert report(KeyboardInterrupt(), json=False) == Exit.INTERRUPTED
    assert capsys.readouterr().err == ""


def test_the_module_is_the_command(tmp_path: Path) -> None:
    """`python -m store` is `store`: it explains itself, and refuses what it does not know."""
    assert "serve" in process("--help", cwd=tmp_path).stdout
    unknown = process("fly", cwd=tmp_path)
    assert unknown.returncode == Exit.USAGE
    assert "fly" in unknown.stderr
