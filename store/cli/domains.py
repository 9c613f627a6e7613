"""Domains, loaded by name: the store never imports them otherwise."""

import difflib
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from store.engine.reducer import Domain
from store.errors import ConfigError


def load_domain(names: Sequence[str]) -> Domain:
    """The tables and reducers of these modules, found from the working directory, too. ConfigError: they cannot be."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    modules = [_import(name) for name in names]
    try:
        return Domain.of(*modules)
    except TypeError as error:
        raise ConfigError(f"the domains cannot be served together: {error}") from None


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise ConfigError(f"the domain {name} needs {error.name}, which is not installed") from None
        known = ["reducers.accounts", "reducers.repositories"]
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"Did you mean {near[0]}?" if near else "Name a module that can be imported from here"
        raise ConfigError(f"there is no domain {name}", hint=hint) from None
    except Exception as error:
        raise ConfigError(f"the domain {name} cannot be loaded: {type(error).__name__}: {error}") from error
