"""Keys as files."""

import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from store.env import audit_keys
from store.env.audit_keys import VARIABLE, KeyFolder, load_signer
from store.errors import ConfigError


def test_secrets_are_read_in_order(tmp_path: Path) -> None:
    """The environment's first, then those of the folder; the secret of keyed hashes is none of them."""
    folder = KeyFolder(tmp_path / "keys")
    folder.add_secret("bb", b"second")
    folder.add_secret("aa", b"first")
    (folder.path / "hmac.key").write_bytes(b"no signer")
    assert folder.secrets({}) == [b"first", b"second"]
    assert folder.secrets({VARIABLE: "said"}) == [b"said", b"first", b"second"]


def test_a_secret_that_others_may_read_is_refused(tmp_path: Path) -> None:
    """The error says what to do, and nothing of the secret."""
    folder = KeyFolder(tmp_path / "keys")
    path = folder.add_secret("aa", b"secret")
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600") as refused:
        folder.secrets({})
    assert "secret" not in str(refused.value).replace(str(path), "")


def test_nothing_is_written_over(tmp_path: Path) -> None:
    """Neither a secret nor a note; the same once more is well."""
    folder = KeyFolder(tmp_path / "keys")
    folder.add_secret("aa", b"one")
    folder.add_secret("aa", b"one")
    folder.add_note("aa.note", b"one")
    folder.add_note("aa.note", b"one")
    with pytest.raises(ConfigError, match="another key"):
        folder.add_secret("aa", b"two")
    with pytest.raises(ConfigError, match="something else"):
        folder.add_note("aa.note", b"two")
    assert folder.notes() == {"aa.note": b"one"}
    assert {stat.S_IMODE(each.stat().st_mode) for each in folder.path.iterdir()} == {0o600}


def test_a_key_service_is_loaded_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """What its factory gives must sign and have a key; else the error names the option."""
    made = SimpleNamespace(key="k", sign=lambda message: message)
    monkeypatch.setattr(audit_keys, "factory_of_a_test", lambda: made, raising=False)
    assert load_signer("store.env.audit_keys:factory_of_a_test") is made
    monkeypatch.setattr(audit_keys, "factory_of_a_test", SimpleNamespace)
    for wrong in ("store.env.audit_keys:factory_of_a_test", "store.env.audit_keys:none", "no.such:x", "", "a:b:c"):
        with pytest.raises(ConfigError, match="audit_signer"):
            load_signer(wrong)
