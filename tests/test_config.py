"""The rules of configuration: sources and their order, values, what is refused."""

import re
from pathlib import Path
from typing import Final

import pytest

from store import config
from store.errors import ConfigError
from store.log.commitlog import LogOptions
from store.server.options import ServerOptions

WEIGHING: Final = re.compile(
    r"^more\b|^as \w+_\w+\b|\b(less|fewer|larger|smaller|longer|shorter|sooner|better|without|costs?|grows|survives"
    r"|loses|spares|needs)\b",
    re.IGNORECASE,
)
"""What weighs one value against another in a clause, or says what it costs; "one more" weighs nothing."""
DEFAULT: Final = re.compile(r"\bdefault (\d[\d.,]*\b(?: [KMG]iB)?)")
"""A number or a size that the text names as the default."""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_defaults_are_the_rooms_own() -> None:
    """With nothing set, every room has its own defaults, and says so."""
    made = config.load(environment={})
    assert made.server == ServerOptions()
    assert made.log == LogOptions()
    assert {each.source for each in made.settings} == {"default"}


def test_flags_go_over_environment_over_toml() -> None:
    """The nearest source wins, and the setting names it."""
    Path("store.toml").write_text("[server]\nport = 1\nhost = 'a'\nconnections_max = 7\n")
    environment = {"STORE_SERVER_PORT": "2", "STORE_SERVER_HOST": "b", "PATH": "x", "STORE_NUMBER": "4"}
    made = config.load({"server.port": ("--port", 3)}, environment=environment)
    assert (made.server.port, made.server.host, made.server.connections_max) == (3, "b", 7)
    assert made.source("server.port") == "--port"
    assert made.source("server.host") == "STORE_SERVER_HOST"
    assert made.source("server.connections_max") == "store.toml [server]"
    assert made.source("server.body_size_max") == "default"


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("log.segment_size_max", "64MiB", 64 << 20),
        ("log.segment_size_max", "2 GB", 2_000_000_000),
        ("log.segment_size_max", "1_048_576", 1 << 20),
        ("engine.vouch_idle_ms", "12.5", 12.5),
        ("server.open_health", "yes", True),
        ("server.compression", "false", False),
        ("server.tls_certificate", "none", None),
        ("client.give_up_s", "3", 3.0),
        ("client.give_up_s", "None", None),
        ("tenant.domains", "a.b, c", ("a.b", "c")),
        ("tenant.data", "/x/y", Path("/x/y")),
        ("auth.jwt_issuer", "me", "me"),
    ],
)
def test_values_are_read_by_their_option(key: str, text: str, value: object) -> None:
    """Sizes, durations, switches, paths and lists are written plainly, and shown so that they can be read again."""
    option = config.find(key, "test")
    assert config.read(option, text, source="test") == value
    assert config.read(option, config.show(option, value), source="test") == value


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("log.segment_size_max", "64 apples"),
        ("log.segment_size_max", True),
        ("log.segment_size_max", 1.5),
        ("log.segment_size_max", -1),
        ("server.connections_max", "5MiB"),
        ("engine.vouch_idle_ms", "soon"),
        ("engine.vouch_idle_ms", "nan"),
        ("engine.vouch_idle_ms", None),
        ("server.open_health", "perhaps"),
        ("server.host", 5),
        ("tenant.data", ""),
        ("tenant.domains", [1]),
        ("tenant.domains", ""),
    ],
)
def test_a_bad_value_is_refused_with_its_place(key: str, value: object) -> None:
    """A value of the wrong kind names the option, what is expected, what was found and where."""
    with pytest.raises(ConfigError, match=rf"{key} .* found .*\(the test\)"):
        config.load({key: ("the test", value)}, environment={})


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    """A misspelt section, option, variable or flag is no option, and the nearest is named."""
    with pytest.raises(ConfigError, match=r"Did you mean log\.segment_size_max"):
        config.load({"log.segment_sise_max": ("--set", "1")}, environment={})
    with pytest.raises(ConfigError, match="Did you mean STORE_LOG_SEGMENT_SIZE_MAX"):
        config.load(environment={"STORE_LOG_SEGMENTSIZE_MAX": "1"})
    Path("store.toml").write_text("[sever]\nport = 1\n")
    with pytest.raises(ConfigError, match="Did you mean server"):
        config.load(environment={})
    Path("store.toml").write_text("[server]\nprot = 1\n")
    with pytest.raises(ConfigError, match=r"server.prot \(store.toml \[server\]\).*Did you mean server.port"):
        config.load(environment={})


def test_a_room_refuses_values_that_cannot_be_together() -> None:
    """What a room says of its values is told with where they were set."""
    with pytest.raises(ConfigError, match=r"\[server\] .*tls_key.*STORE_SERVER_TLS_CERTIFICATE"):
        config.load(environment={"STORE_SERVER_TLS_CERTIFICATE": "x.pem"})
    with pytest.raises(ConfigError, match=r"\[log\] .*segment_size_max=1 "):
        config.load({"log.segment_size_max": ("--set", 1)}, environment={})


def test_a_file_may_be_named() -> None:
    """A named file is read wherever it is; its relative paths begin at its folder; one that is missing is refused."""
    folder = Path("etc")
    folder.mkdir()
    (folder / "my.toml").write_text('[tenant]\ndata = "there"\n')
    assert config.load(environment={}, file=folder / "my.toml").tenant.data == folder / "there"
    assert config.load(environment={"STORE_CONFIG": "etc/my.toml"}).tenant.data == folder / "there"
    with pytest.raises(ConfigError, match="cannot be read"):
        config.load(environment={}, file=Path("missing.toml"))
    (folder / "my.toml").write_text("[tenant\n")
    with pytest.raises(ConfigError, match="cannot be read"):
        config.load(environment={}, file=folder / "my.toml")
    (folder / "my.toml").write_text("tenant = 1\n")
    with pytest.raises(ConfigError, match="section"):
        config.load(environment={}, file=folder / "my.toml")


@pytest.mark.parametrize("option", config.options().values(), ids=lambda option: str(option.key))
def test_every_option_is_documented(option: config.Option) -> None:
    """Every option says what it is, has a unit, and a default that can be written and is the one its text names."""
    assert len(option.doc) > 20, f"{option.key} has no text under its field"
    assert option.doc.endswith("."), option.key
    assert option.unit
    assert config.read(option, config.show(option, option.default), source="default") == option.default or (
        option.default == ""
    )
    assert option.default_text not in {"", "none"} or re.search(r"\b(default|None)\b", option.doc), (
        f"{option.key} does not say what its empty default means"
    )
    if named := DEFAULT.search(option.doc):
        assert config.read(option, named[1].replace(",", ""), source="its text") == option.default


@pytest.mark.parametrize("option", config.options().values(), ids=lambda option: str(option.key))
def test_every_option_is_weighed(option: config.Option) -> None:
    """After an option's first clause, which says what it is, another one weighs its values."""
    _, *further = re.split(r"(?<=[.;])\s", option.doc)
    assert any(WEIGHING.search(clause) for clause in further), option.key


def test_a_secret_is_no_option() -> None:
    """A variable that holds the backup's key is neither refused as an unknown option nor listed as one."""
    made = config.load(environment={"STORE_BACKUP_KEY": "ab" * 32, "STORE_BACKUP_URL": "there"})
    assert made.backup.url == "there"
    assert all("ab" * 32 not in each.text for each in made.settings)
    with pytest.raises(ConfigError, match="STORE_BACKUP_KEYS"):
        config.load(environment={"STORE_BACKUP_KEYS": "ab" * 32})


def test_a_port_counts_nothing() -> None:
    """The unit of a port is a port number."""
    assert config.find("server.port", "test").unit == "port number"
    assert {key for key, option in config.options().items() if option.unit == "port number"} == {"server.port"}


def test_the_token_file_says_where_serve_looks() -> None:
    """The text of a token file that is not named says which file is taken."""
    assert "`tokens` in the data directory" in config.find("auth.token_file", "test").doc


def test_variables_are_distinct() -> None:
    """No two options share a variable."""
    variables = [option.variable for option in config.options().values()]
    assert len(set(variables)) == len(variables)
    assert "STORE_LOG_SEGMENT_SIZE_MAX" in variables
