"""All options of the process in one place: flags over environment over TOML over defaults.

    [log]                              # store.toml, or the file named by --config or STORE_CONFIG
    segment_size_max = "64MiB"         # or STORE_LOG_SEGMENT_SIZE_MAX=64MiB, or --set log.segment_size_max=64MiB

Laws: each room owns its options; here they are gathered, never typed again, and each one's page is the text under its
field. An unknown name is refused with the nearest known one, a bad value with the place where it was set. A relative
path in a TOML file begins at that file's folder, any other at the working directory.
"""

import ast
import dataclasses
import difflib
import functools
import inspect
import math
import os
import re
import tomllib
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any, Final

from store.audit.options import AuditOptions
from store.backup.options import BackupOptions
from store.client.options import ClientOptions
from store.engine.options import EngineOptions
from store.errors import ConfigError
from store.log.commitlog import LogOptions
from store.server.auth import AuthOptions
from store.server.maintenance_options import MaintenanceOptions
from store.server.options import ServerOptions
from store.snapshot.options import SnapshotOptions
from store.subscribe.options import Options as SessionOptions

FILE: Final = "store.toml"
"""Read where it lies in the working directory, unless another file is named."""
PREFIX: Final = "STORE_"
SECRETS: Final = frozenset({"STORE_BACKUP_KEY", "STORE_AUDIT_KEY"})
"""Variables that hold a secret itself: no options, so that no list of options ever shows them."""

_SIZE: Final = re.compile(r"(\d[\d_]*)\s*(B|[KMGT]iB|[kMGT]B)?")
_SIZE_UNITS: Final = {
    "B": 1,
    **{f"{letter}iB": 1024**power for power, letter in enumerate("KMGT", 1)},
    **{f"{letter}B": 1000**power for power, letter in enumerate("kMGT", 1)},
}
_TRUE: Final = frozenset({"true", "yes", "on", "1"})
_FALSE: Final = frozenset({"false", "no", "off", "0"})
_UNIT_SUFFIXES: Final = {"_ms": "ms", "_s": "s", "port": "port number"}
_UNITS_BY_TYPE: Final = {bool: "true or false", int: "count", float: "number", str: "text", Path: "path"}


@dataclass(frozen=True)
class TenantOptions:
    """What is served, and where it is kept."""

    data: Path = Path("data")
    """The data directory, default `data`; made on the first start. One process at a time may open it. A disk with a
    quicker fsync makes calls wait less, since every call waits for one; a larger one holds a longer log."""

    domains: tuple[str, ...] = ("reducers.accounts", "reducers.repositories")
    """Modules whose tables and reducers are served, by their import names; default the two that come with the store.
    More domains share one log and one writer; fewer start sooner."""


@dataclass(frozen=True)
class Option:
    """One option, as its room declares it."""

    section: str
    name: str
    type: Any
    default: Any
    doc: str
    """Meaning, unit, default and trade-off, in its room's words."""

    @property
    def key(self) -> str:
        """Its name in flags and errors."""
        return f"{self.section}.{self.name}"

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return f"{PREFIX}{self.section}_{self.name}".upper()

    @property
    def base(self) -> Any:
        """Its type without None."""
        if typing.get_origin(self.type) is types.UnionType:
            return next(each for each in typing.get_args(self.type) if each is not type(None))
        return self.type

    @property
    def nullable(self) -> bool:
        """Whether "none" is a value of it."""
        return self.base is not self.type

    @property
    def unit(self) -> str:
        """What its numbers count."""
        if self.base in {int, float}:
            for suffix, unit in _UNIT_SUFFIXES.items():
                if self.name.endswith(suffix):
                    return unit
            if self.doc.startswith("Bytes"):
                return "bytes"
        return _UNITS_BY_TYPE.get(self.base, "texts")

    @property
    def default_text(self) -> str:
        """Its default as one may write it."""
        return show(self, self.default)


@dataclass(frozen=True)
class Setting:
    """An option's value, and where it came from."""

    option: Option
    value: Any
    source: str

    @property
    def text(self) -> str:
        """The value as one may write it."""
        return show(self.option, self.value)


@dataclass(frozen=True)
class Config:
    """Every room's options, and where each value came from."""

    tenant: TenantOptions
    log: LogOptions
    engine: EngineOptions
    server: ServerOptions
    auth: AuthOptions
    sessions: SessionOptions
    client: ClientOptions
    snapshot: SnapshotOptions
    maintenance: MaintenanceOptions
    backup: BackupOptions
    audit: AuditOptions
    settings: tuple[Setting, ...]

    def source(self, key: str) -> str:
        """Where an option such as "server.port" was set."""
        return next(each.source for each in self.settings if each.option.key == key)


SECTIONS: Final[Mapping[str, type[Any]]] = {
    name: hint for name, hint in typing.get_type_hints(Config).items() if name != "settings"
}
"""The rooms' option classes, by their names in TOML and in the environment."""


@functools.cache
def options() -> Mapping[str, Option]:
    """Every option there is, by key."""
    made: dict[str, Option] = {}
    for section, room in SECTIONS.items():
        hints, docs = typing.get_type_hints(room), _docs(room)
        for each in dataclasses.fields(room):
            option = Option(section, each.name, hints[each.name], each.default, docs.get(each.name, ""))
            made[option.key] = option
    return made


def load(
    flags: Mapping[str, tuple[str, Any]] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> Config:
    """Gather all options. `flags` has (the flag as typed, its value) by option key. ConfigError says what cannot be."""
    environment = os.environ if environment is None else environment
    settings = {key: Setting(option, option.default, "default") for key, option in options().items()}
    for key, value, source, folder in (
        *_from_file(file, environment),
        *_from_environment(environment),
        *((key, value, flag, Path()) for key, (flag, value) in (flags or {}).items()),
    ):
        option = find(key, source)
        settings[key] = Setting(option, read(option, value, source=source, folder=folder), source)
    rooms = {name: _assemble(name, room, settings) for name, room in SECTIONS.items()}
    return Config(**rooms, settings=tuple(settings.values()))


def find(key: str, source: str) -> Option:
    """The option of that key. ConfigError names the nearest there is."""
    found = options().get(key)
    if found is None:
        raise ConfigError(f"there is no option {key} ({source})", hint=_nearest(key, options()))
    return found


def read(option: Option, value: Any, *, source: str, folder: Path = Path()) -> Any:
    """A value as it was written, as one of the option's type."""
    try:
        if option.nullable and (value is None or (isinstance(value, str) and value.lower() == "none")):
            return None
        made = _READERS[typing.get_origin(option.base) or option.base](option, value)
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"{option.key} is {_expected(option)}, found {value!r} ({source}): {error}",
            hint=f"Its default is {show(option, option.default)}",
        ) from None
    return folder / made if isinstance(made, Path) else made


def show(option: Option, value: Any) -> str:
    """A value as one may write it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(value)
    if option.unit == "bytes" and value:
        for power, letter in reversed([*enumerate("KMGT", 1)]):
            if value % 1024**power == 0:
                return f"{value >> (10 * power)}{letter}iB"
    return str(value)


def _from_file(file: Path | None, environment: Mapping[str, str]) -> list[tuple[str, Any, str, Path]]:
    named = file or (Path(environment[f"{PREFIX}CONFIG"]) if f"{PREFIX}CONFIG" in environment else None)
    path = named or Path(FILE)
    if named is None and not path.exists():
        return []
    try:
        sections = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"the configuration {path} cannot be read: {error}") from None
    found: list[tuple[str, Any, str, Path]] = []
    for section, values in sections.items():
        if section not in SECTIONS:
            raise ConfigError(f"there is no section [{section}] ({path})", hint=_nearest(section, SECTIONS))
        if not isinstance(values, dict):
            raise ConfigError(f"[{section}] is a section, found {values!r} ({path})")
        found += [(f"{section}.{name}", value, f"{path} [{section}]", path.parent) for name, value in values.items()]
    return found


def _from_environment(environment: Mapping[str, str]) -> list[tuple[str, Any, str, Path]]:
    known = {option.variable: option for option in options().values()}
    found: list[tuple[str, Any, str, Path]] = []
    for variable, value in sorted(environment.items()):
        if variable in known:
            found.append((known[variable].key, value, variable, Path()))
        elif variable not in SECRETS and variable.startswith(
            tuple(f"{PREFIX}{section}_".upper() for section in SECTIONS)
        ):
            raise ConfigError(f"there is no option {variable} (environment)", hint=_nearest(variable, known))
    return found


def _assemble(name: str, room: type[Any], settings: Mapping[str, Setting]) -> Any:
    mine = [each for each in settings.values() if each.option.section == name]
    try:
        return room(**{each.option.name: each.value for each in mine})
    except (ConfigError, AssertionError) as error:
        said = [f"{each.option.name}={each.text} ({each.source})" for each in mine if each.source != "default"]
        why = error.message if isinstance(error, ConfigError) else "these values cannot be together"
        raise ConfigError(f"[{name}] {why}", hint=f"Set here: {', '.join(said)}") from None


def _docs(room: type[Any]) -> dict[str, str]:
    """The text under each field of a class."""
    (tree,) = ast.parse(dedent(inspect.getsource(room))).body
    assert isinstance(tree, ast.ClassDef)
    docs: dict[str, str] = {}
    for field, text in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
            docs[field.target.id] = " ".join(str(ast.literal_eval(text.value)).split())
    return docs


def _nearest(name: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return (
        f"Did you mean {near[0]}?" if near else f"`store config` lists all; there are {', '.join(list(known)[:7])}, …"
    )


def _expected(option: Option) -> str:
    text = {"bytes": 'a size in bytes, such as 1048576 or "1MiB"', "texts": "a list of texts"}.get(option.unit)
    return text or f"{option.unit}, or none" if option.nullable else text or f"of {option.unit}"


def _read_int(option: Option, value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise TypeError("it is a whole number")
    match = _SIZE.fullmatch(value.strip())
    if match is None or (match[2] and option.unit != "bytes"):
        raise ValueError("it is a whole number, at least 0")
    size: int = int(match[1]) * _SIZE_UNITS[match[2] or "B"]
    return size


def _read_float(_option: Option, value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError("it is a number")
    made = float(value)
    if not math.isfinite(made) or made < 0:
        raise ValueError("it is finite, at least 0")
    return made


def _read_bool(_option: Option, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).lower()
    if text not in _TRUE | _FALSE:
        raise ValueError("it is true or false")
    return text in _TRUE


def _read_str(_option: Option, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("it is text")
    return value


def _read_path(_option: Option, value: Any) -> Path:
    if not isinstance(value, str | Path) or not str(value):
        raise TypeError("it is a path")
    return Path(value).expanduser()


def _read_texts(option: Option, value: Any) -> tuple[str, ...]:
    if value == "" and option.default == ():  # As `show` writes none of them, where none is what may be.
        return ()
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not all(isinstance(each, str) and each.strip() for each in items):
        raise TypeError("it is a list of texts")
    return tuple(each.strip() for each in items)


_READERS: Final[Mapping[Any, Callable[[Option, Any], Any]]] = {
    int: _read_int,
    float: _read_float,
    bool: _read_bool,
    str: _read_str,
    Path: _read_path,
    tuple: _read_texts,
}
