"""Functions written as text: they see their words alone, and a traceback shows their lines."""

import traceback

import pytest

from store.compiled import compile_function


def test_a_function_sees_the_words_it_was_given() -> None:
    """And is called by the last part of its name."""
    add = compile_function("def add(value):\n    return value + more\n", "tests.add", {"more": 2})
    assert (add(1), add.__qualname__) == (3, "tests.add")


def test_a_traceback_shows_the_text() -> None:
    """Whoever looks for an error reads the line, not just its number."""
    fail = compile_function("def fail():\n    return 1 / 0\n", "tests.fail", {})
    with pytest.raises(ZeroDivisionError) as caught:
        fail()
    assert "return 1 / 0" in "".join(traceback.format_exception(caught.value))


def test_two_functions_share_nothing() -> None:
    """Each has globals of its own."""
    words = {"value": 1}
    first = compile_function("def get():\n    global value\n    value += 1\n    return value\n", "get", words)
    assert (first(), first(), words["value"]) == (2, 3, 1)
