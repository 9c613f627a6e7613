"""The engine's options: each has a default and says what it means."""

import ast
import inspect
from dataclasses import fields

import pytest

from store.engine import options
from store.engine.options import EngineOptions


def test_every_option_says_unit_and_trade_off() -> None:
    """A docstring follows each field."""
    ((declaration,),) = [
        [each for each in ast.parse(inspect.getsource(options)).body if isinstance(each, ast.ClassDef)]
    ]
    documented = [
        before.target.id
        for before, after in zip(declaration.body, declaration.body[1:], strict=False)
        if isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name) and isinstance(after, ast.Expr)
    ]
    assert documented == [each.name for each in fields(EngineOptions)]


def test_options_never_change() -> None:
    """They are said once, at the roof."""
    with pytest.raises(AttributeError):
        EngineOptions().tail_size_max = 1  # type: ignore[misc]  # That is the test.
