"""What the audit trail may show of a call's arguments, as a reducer declares it.

    @reducer(audit={"password": redact(), "email": hashed(), "note": sealed_for("person")})
    def sign_up(ctx: Context, person: int, email: str, password: str, note: str) -> None:
        ...

Laws: a rule changes what is shipped, never what is logged: a replay needs the arguments. A rule for a parameter that is
not there is an error where the reducer is declared, not where it is called.
"""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

import msgspec

from store.engine.parameters import Parameter

Rules = Mapping[str, "Rule"]
"""A reducer's rules, by parameter; a parameter without one is shipped as it is."""

SHOWN: Final = ""
"""How a parameter without a rule is declared in the log."""

_SUBJECTS: Final = (int, str, UUID)
"""The types of which a parameter may be that says whose data another one holds."""


class Rule(msgspec.Struct, frozen=True):
    """What becomes of one argument. Made by `redact`, `hashed` or `sealed_for`."""

    text: str
    """As the start record declares it."""
    subject: str = ""
    """The parameter that says whose data it is."""


def redact() -> Rule:
    """Ship that there was a value, and nothing of it."""
    return Rule("redact")


def hashed() -> Rule:
    """Ship a keyed hash (HMAC-SHA-256): equal values can be told, and whoever has the key can check a guess."""
    return Rule("hash")


def sealed_for(subject: str) -> Rule:
    """Ship it encrypted under the key of whoever the parameter `subject` names; without that key it is gone."""
    return Rule(f"subject:{subject}", subject)


def check_rules(reducer: str, parameters: Sequence[Parameter], rules: Rules) -> None:
    """TypeError where a rule is none, or for a parameter that there is not, or sealed for what names nobody."""
    known = {each.name: each for each in parameters}
    for name, rule in rules.items():
        if name not in known:
            raise TypeError(
                f"reducer {reducer}: audit has a rule for {name!r}, there is no such parameter;"
                f" there are {', '.join(known) or 'none'}"
            )
        if not isinstance(rule, Rule):
            raise TypeError(
                f"reducer {reducer}: audit rule of {name} is redact(), hashed() or sealed_for(…), found {rule!r}"
            )
        if rule.subject:
            _check_subject(reducer, name, rule, known, rules)


def _check_subject(reducer: str, name: str, rule: Rule, known: Mapping[str, Parameter], rules: Rules) -> None:
    subject = known.get(rule.subject)
    if subject is None or rule.subject == name:
        others = ", ".join(each for each in known if each != name)
        raise TypeError(
            f"reducer {reducer}: {name} is sealed for {rule.subject!r}, which is no other parameter;"
            f" there are {others or 'none'}"
        )
    if subject.annotation not in _SUBJECTS:
        raise TypeError(
            f"reducer {reducer}: {name} is sealed for {rule.subject}, which is {subject.type_name};"
            " a subject is an int, str or UUID"
        )
    if rule.subject in rules:
        raise TypeError(
            f"reducer {reducer}: {name} is sealed for {rule.subject}, which has a rule itself;"
            " a subject is shown, so that its key can be found"
        )


def declare(parameters: Sequence[Parameter], rules: Rules) -> list[list[str]]:
    """One reducer as the start record declares it: [[parameter, rule], ...] in the order of its arguments."""
    return [[each.name, rules[each.name].text if each.name in rules else SHOWN] for each in parameters]
