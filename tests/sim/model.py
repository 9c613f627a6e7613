"""What should be: the domain's rules in plain dicts, and every call in the order in which it happened."""

from typing import Any

import msgspec

from tests.sim.observation import Reply, Sent

FAILURES = {
    "refuse": "refused",
    "raise": "reducer_failed",
    "violate": "constraint_violation",
    "exit": "reducer_failed",
}


class Model:
    """The oracle."""

    def __init__(self) -> None:
        self.history: list[tuple[Sent, Reply]] = []
        self._forget()

    def _forget(self) -> None:
        self._replies: dict[int, Reply] = {}
        self.tasks: dict[int, tuple[str, str | None, str]] = {}
        self.notes: dict[str, bytes] = {}
        self.last_key = 0

    def find(self, sent: Sent) -> Reply | None:
        """The reply to this very call, if it has happened."""
        return self._replies.get(sent.number)

    def run(self, sent: Sent, reply: Reply) -> tuple[str, Any]:
        """Let a new call happen: the outcome it should have, and the value, None for a failure."""
        self.history.append((sent, reply))
        self._replies[sent.number] = reply
        return self._apply(sent, reply)

    def go_back(self, count: int) -> None:
        """Keep only so many of the calls, as a crash may."""
        kept = self.history[:count]
        self.history = []
        self._forget()
        for sent, reply in kept:
            self.run(sent, reply)

    def rows(self) -> dict[str, dict[Any, bytes]]:
        """Every table's rows, encoded."""
        encode = msgspec.msgpack.encode
        return {
            "task": {key: encode((key, *row)) for key, row in self.tasks.items()},
            "note": {key: encode((key, body)) for key, body in self.notes.items()},
        }

    def _apply(self, sent: Sent, reply: Reply) -> tuple[str, Any]:  # noqa: PLR0911  # One reducer after the other.
        args = sent.args
        if sent.name == "add":
            owner, slug, note = args
            if slug is not None and any(each == slug for _, each, _ in self.tasks.values()):
                return "constraint_violation", None
            self.last_key += 1
            self.tasks[self.last_key] = (owner, slug, note)
            return "", self.last_key
        if sent.name == "give":
            task, owner = args
            if task not in self.tasks:
                return "refused", None
            self.tasks[task] = (owner, *self.tasks[task][1:])
            return "", None
        if sent.name == "remove":
            return "", self.tasks.pop(args[0], None) is not None
        if sent.name == "put":
            self.notes[args[0]] = args[1]
            return "", None
        if sent.name == "roll":  # What the dice show, only the store can say.
            thrown = msgspec.msgpack.decode(reply.value)
            self.notes["throw"] = str(thrown).encode()
            return "", thrown
        return FAILURES[args[0]], None
