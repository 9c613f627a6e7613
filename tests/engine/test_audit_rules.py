"""What a reducer declares that the audit trail may show of its arguments."""

from typing import Any
from uuid import UUID

import pytest

from store.engine.audit_rules import hashed, redact, sealed_for
from store.engine.reducer import Context, reducer


@reducer(audit={"password": redact(), "email": hashed(), "note": sealed_for("person")})
def sign_up(ctx: Context, person: int, email: str, password: str, note: str = "") -> int:
    """Return who signed up."""
    return person


@reducer
def plain(ctx: Context, person: UUID) -> None:
    """Say nothing of rules."""


def test_rules_are_declared_by_parameter_in_the_order_of_the_arguments() -> None:
    """A parameter without a rule is shown, which is declared as nothing."""
    assert sign_up.declaration == [
        ["person", ""],
        ["email", "hash"],
        ["password", "redact"],
        ["note", "subject:person"],
    ]
    assert plain.declaration == [["person", ""]]


def test_a_reducer_with_rules_is_the_function_it_was() -> None:
    """Tests and other reducers call it, and its name and words are its own."""
    assert sign_up(None, 7, "a", "b") == 7  # type: ignore[arg-type]  # No context is needed here.
    assert (sign_up.name, sign_up.__doc__) == ("sign_up", "Return who signed up.")


def takes(ctx: Context, person: int, many: list[int], note: str) -> None:
    """A reducer to be declared in wrong ways."""


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"other": redact()}, "a rule for 'other', there is no such parameter; there are person, many, note"),
        ({"ctx": redact()}, "a rule for 'ctx', there is no such parameter"),
        ({"note": "redact"}, r"audit rule of note is redact\(\), hashed\(\) or sealed_for"),
        ({"note": sealed_for("nobody")}, "note is sealed for 'nobody', which is no other parameter"),
        ({"note": sealed_for("note")}, "note is sealed for 'note', which is no other parameter"),
        ({"note": sealed_for("many")}, "which is list.*; a subject is an int, str or UUID"),
        ({"note": sealed_for("person"), "person": redact()}, "person, which has a rule itself"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_where_it_is_declared(rules: Any, said: str) -> None:
    """The error names the reducer, the parameter, and what may stand there."""
    with pytest.raises(TypeError, match=f"reducer takes: .*{said}"):
        reducer(audit=rules)(takes)
