"""The doors' options: each is documented, and what cannot be is refused by name."""

import ast
import inspect
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from store.errors import ConfigError
from store.server import auth, options
from store.server.auth import AuthOptions
from store.server.options import ServerOptions


@pytest.mark.parametrize(("module", "kind"), [(options, ServerOptions), (auth, AuthOptions)])
def test_documented(module: Any, kind: Any) -> None:
    """Every field says its default and what it is for, right below it."""
    tree = ast.parse(inspect.getsource(module))
    (body,) = [node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == kind.__name__]
    said: dict[str, str] = {}
    for field, text in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            assert isinstance(text, ast.Expr), field.target.id
            assert isinstance(text.value, ast.Constant), field.target.id
            said[field.target.id] = str(text.value.value)
    assert set(said) == {field.name for field in fields(kind)}
    for name, meaning in said.items():
        assert "default" in meaning, name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", -1),
        ("port", 65_536),
        ("connections_max", 0),
        ("body_size_max", 0),
        ("head_size_max", -5),
        ("ping_interval_s", 0.0),
        ("stall_timeout_s", 0.0),
        ("health_limit_s", float("nan")),
        ("tls_certificate", Path("cert.pem")),
        ("tls_key", Path("key.pem")),
    ],
)
def test_refused(name: str, value: Any) -> None:
    """An option that cannot be is refused, and named."""
    with pytest.raises(ConfigError, match=name):
        ServerOptions(**{name: value})
