"""The backup's options cannot be set so that nothing would happen."""

import pytest

from store.backup.options import BackupOptions
from store.errors import ConfigError


def test_without_options_nothing_is_pushed() -> None:
    """No place, no interval."""
    assert (BackupOptions().url, BackupOptions().interval_s) == ("", 0)


def test_an_interval_needs_a_place() -> None:
    """Else nobody would notice that nothing is pushed."""
    with pytest.raises(ConfigError, match=r"backup\.url"):
        BackupOptions(interval_s=60)


def test_notes_are_counted_from_one() -> None:
    """Zero would note nothing."""
    with pytest.raises(ConfigError, match="at least 1"):
        BackupOptions(index_every=0)
    with pytest.raises(ConfigError, match="at least 1"):
        BackupOptions(index_merge=0)
