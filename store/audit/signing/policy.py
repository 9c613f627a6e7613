"""Whose cosignatures a checkpoint wants: a file as c2sp.org/tlog-policy has it.

Laws: names are defined before they are used, and each counts in one place only. Without a quorum line there is no
policy; `quorum none` wants nobody.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from store.audit.objects.layout import Malformed
from store.audit.objects.notes import COSIGNATURE, Note, VerifierKey, read_key

NONE: Final = "none"
POLICY_SIZE_MAX: Final = 1 << 18
"""Bytes of a policy, at most."""
LINES_MAX: Final = 1_000


@dataclass(frozen=True)
class WitnessEntry:
    """One witness: its name in the policy, its key, and where it takes checkpoints; "" where that is not said."""

    name: str
    key: VerifierKey
    url: str


@dataclass(frozen=True)
class Group:
    """Of these members, each a witness or a group, so many must have cosigned."""

    name: str
    wanted: int
    members: tuple[str, ...]


@dataclass(frozen=True)
class Policy:
    """Logs, witnesses, and who of them is enough."""

    logs: tuple[VerifierKey, ...] = ()
    witnesses: tuple[WitnessEntry, ...] = ()
    groups: tuple[Group, ...] = ()
    quorum: str = NONE
    _index: Mapping[str, WitnessEntry | Group] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        index: dict[str, WitnessEntry | Group] = {each.name: each for each in self.witnesses}
        object.__setattr__(self, "_index", index | {each.name: each for each in self.groups})

    @property
    def text(self) -> str:
        """As a file."""
        lines = [f"log {key}" for key in self.logs]
        lines += [f"witness {each.name} {each.key}{f' {each.url}' if each.url else ''}" for each in self.witnesses]
        lines += [f"group {each.name} {each.wanted} {' '.join(each.members)}" for each in self.groups]
        return "\n".join([*lines, f"quorum {self.quorum}", ""])

    def cosigned_by(self, note: Note) -> frozenset[str]:
        """The names of the witnesses whose cosignatures stand under a checkpoint and hold. A bad one does not count."""
        return frozenset(
            each.name
            for each in self.witnesses
            for said in note.signatures
            if (said.name, said.key_id) == (each.key.name, each.key.id) and each.key.holds(note.text, said.signature)
        )

    def satisfied_by(self, note: Note) -> bool:
        """Whether enough of the witnesses have cosigned a checkpoint."""
        return self.enough(self.cosigned_by(note))

    def enough(self, names: frozenset[str]) -> bool:
        """Whether these witnesses are enough."""
        return self.quorum == NONE or self._has(self.quorum, names)

    def _has(self, name: str, names: frozenset[str]) -> bool:
        found = self._index[name]
        if isinstance(found, WitnessEntry):
            return name in names
        return sum(self._has(each, names) for each in found.members) >= found.wanted


def policy_of(witnesses: Sequence[tuple[VerifierKey, str]], wanted: int, *, logs: Sequence[VerifierKey] = ()) -> Policy:
    """So many of these (key, URL). Malformed: more than there are, a key twice, or none of a witness."""
    names = tuple(f"w{number}" for number in range(1, len(witnesses) + 1))
    lines = [f"log {each}" for each in logs]
    lines += [f"witness {name} {key} {url}".rstrip() for name, (key, url) in zip(names, witnesses, strict=True)]
    lines += [f"group enough {wanted} {' '.join(names)}", "quorum enough"] if wanted else ["quorum none"]
    return read_policy("\n".join([*lines, ""]))


def read_policy(text: str) -> Policy:
    """From a file's text. Malformed names the line and what is wrong with it."""
    lines = text.split("\n")
    if len(text) > POLICY_SIZE_MAX or len(lines) > LINES_MAX:
        raise Malformed(f"a policy has at most {POLICY_SIZE_MAX} characters and {LINES_MAX} lines")
    reader = _Reader()
    for number, line in enumerate(lines, start=1):
        words = line.replace("\t", " ").split(" ")
        words = [each for each in words if each]
        if not words or words[0].startswith("#"):
            continue
        if any(each < " " and each != "\t" for each in line):
            raise Malformed(f"line {number} of the policy has a control character")
        try:
            reader.read(words)
        except Malformed as error:
            raise Malformed(f"line {number} of the policy: {error.message}") from None
    if not reader.quorum:
        raise Malformed("a policy says `quorum NAME`, or `quorum none`; found no such line")
    return Policy(tuple(reader.logs), tuple(reader.witnesses), tuple(reader.groups), reader.quorum)


class _Reader:
    """Takes a policy in, line by line."""

    def __init__(self) -> None:
        self.logs: list[VerifierKey] = []
        self.witnesses: list[WitnessEntry] = []
        self.groups: list[Group] = []
        self.quorum = ""
        self._free: set[str] = set()
        """Defined, and no group's member yet."""
        self._defined: set[str] = {NONE}

    def read(self, words: list[str]) -> None:
        """Take one line."""
        match words:
            case ["log", key, *url] if len(url) <= 1:
                self._log(read_key(key))
            case ["witness", name, key, *url] if len(url) <= 1:
                self._witness(name, read_key(key), "".join(url))
            case ["group", name, wanted, *members] if members:
                self._group(name, wanted, members)
            case ["quorum", name] if not self.quorum:
                if name not in self._defined:
                    raise Malformed(f"{name} is not defined above")
                self.quorum = name
            case _:
                raise Malformed(f"expected log, witness, group, or one quorum, found {' '.join(words)[:80]!r}")

    def _log(self, key: VerifierKey) -> None:
        if key.public in {each.public for each in self.logs}:
            raise Malformed(f"the key {key.key_id} is there twice")
        self.logs.append(key)

    def _witness(self, name: str, key: VerifierKey, url: str) -> None:
        if key.algorithm != COSIGNATURE:
            raise Malformed(f"a witness's key is of type {COSIGNATURE}, found type {key.algorithm}")
        if key.public in {each.key.public for each in self.witnesses}:
            raise Malformed(f"the key {key.key_id} is there twice")
        self._define(name)
        self.witnesses.append(WitnessEntry(name, key, url))

    def _group(self, name: str, said: str, members: list[str]) -> None:
        number = {"any": 1, "all": len(members)}.get(said)
        if number is None and said.isascii() and said.isdigit():
            number = int(said[:9])
        if number is None or not 1 <= number <= len(members):
            raise Malformed(
                f"of {len(members)} members, `any`, `all`, or 1 to {len(members)} are wanted, found {said!r}"
            )
        for each in members:
            if each not in self._free:
                raise Malformed(f"{each} is not defined above, or is another group's member already")
            self._free.remove(each)
        self._define(name)
        self.groups.append(Group(name, number, tuple(members)))

    def _define(self, name: str) -> None:
        if name in self._defined:
            raise Malformed(f"{name} is defined already")
        self._defined.add(name)
        self._free.add(name)
