"""The audit trail's options: what cannot be is refused with its name."""

from typing import Any

import pytest

from store.audit.options import AuditOptions
from store.errors import ConfigError


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("domain", "Example.COM"),
        ("domain", ""),
        ("retention_days", 0),
        ("retention_days", 40_000),
        ("batch_events_max", 0),
        ("batch_size_max", 1 << 40),
        ("batch_age_max_s", 0.0),
        ("ledger_size_max", 10),
        ("full", "shrug"),
        ("heartbeat_s", 0.1),
        ("witnesses_min", 1),
    ],
)
def test_a_value_that_cannot_be_is_refused(field: str, value: Any) -> None:
    """The error says the option's name and what it may be."""
    with pytest.raises(ConfigError, match=field):
        AuditOptions(**{field: value})


def test_the_defaults_can_be() -> None:
    """A store is audited without a word of configuration."""
    options = AuditOptions()
    assert options.on
    assert options.full == "refuse"
    assert AuditOptions(heartbeat_s=0.0).heartbeat_s == 0
