"""The parse of one text: its nodes are held against the list, its stand-ins taken for the tokens they stand for.

Laws: every stand-in that means something is met: a parser that leaves one out has read something else.
"""

import re
from typing import Final, NoReturn

from sqlglot import exp

from store.query.problems import SUPPORTED, malformed
from store.query.syntax.lexing import Lexed, Token
from store.query.syntax.nodes import PARTS, Node
from store.query.syntax.statement import Name


class Tree:
    """One text, as it was parsed."""

    def __init__(self, lexed: Lexed) -> None:
        self.lexed: Final = lexed
        self._read: Final[set[int]] = set()
        """The stand-ins that were met."""

    def check_all_read(self) -> None:
        """Refuse where the parser dropped a token that means something."""
        for index, token in enumerate(self.lexed.tokens):
            if token.kind not in {"keyword", "sign"} and index not in self._read:
                malformed(token.position, "this is no SQL here", hint=SUPPORTED)

    def token(self, stand_in: str, *kinds: str) -> Token:
        """The token that a stand-in stands for. MalformedQuery where it is none of those that may stand there."""
        index = int(re.sub(r"^\D+", "", stand_in))
        self._read.add(index)
        token = self.lexed.tokens[index]
        if token.kind not in kinds:  # As where a quoted name is called, or AS stands before a function.
            malformed(token.position, f"a {token.kind} cannot stand here", hint=SUPPORTED)
        return token

    def name(self, node: Node) -> Name:
        """A name that is looked up."""
        if not isinstance(node, exp.Identifier):
            self.refuse(node)
        self.check_parts(node)
        token = self.token(node.name, "name")
        return Name(token.value, token.position)

    def check_parts(self, node: Node) -> None:
        """Refuse a node that may not be here, or has parts that it may not have."""
        allowed = PARTS.get(type(node))
        if allowed is None or any(part and name not in allowed for name, part in node.args.items()):
            self.refuse(node)

    def refuse(self, node: Node) -> NoReturn:
        """Say that this is not supported, and where it stands."""
        what = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(node).__name__).upper()
        malformed(self.place(node), f"{what} is not supported here", hint=SUPPORTED)

    def place(self, node: Node) -> int:
        """Where a node, or the first below it that knows, stands in the original text."""
        return self.lexed.tokens[min(self.indices(node), default=0)].position

    @staticmethod
    def indices(node: Node) -> list[int]:
        """The tokens that stand-ins below a node stand for."""
        return [
            int(each.name[1:])
            for each in node.walk()
            if isinstance(each, exp.Identifier | exp.Placeholder | exp.Anonymous) and each.name[1:].isdecimal()
        ]
