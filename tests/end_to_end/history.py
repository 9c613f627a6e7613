"""A git repository with a made-up history, written by `git fast-import` in one go."""

import random
import subprocess
from pathlib import Path

AUTHORS = (
    b"Ada Lovelace <ada@example.com>",
    b"Ada Lovelace <ADA@example.com>",
    b"Bob <bob@example.com>",
    "Zoë Ünal <zoe@example.com>".encode(),
    b"L\xe9on <leon@example.com>",  # Latin-1, as old histories have it.
    b" <>",
    b"Robot [bot] <1+robot@users.example.com>",
)
SUBJECTS = (b"Mend the door", b"", b"tab\there, \x01 and quotes \"'", b"1 file changed, 2 insertions(+)", b"\xff\xfe")


def make_history(folder: Path, *, commits: int, seed: int = 1) -> Path:
    """A repository on branch main with so many commits, some of them merges; the same seed, the same shas."""
    _git("init", "--quiet", "--initial-branch=main", str(folder))
    dice = random.Random(seed)  # noqa: S311  # Made up, not secret.
    lines: list[bytes] = []
    for number in range(1, commits + 1):
        lines += _commit(number, dice)
    lines += [b"reset refs/heads/main", b"from :%d" % commits, b""]
    _git("-C", str(folder), "fast-import", "--quiet", stdin=b"\n".join(lines))
    _git("-C", str(folder), "remote", "add", "origin", "https://robot:secret@example.com/team/history.git")
    return folder


def _commit(number: int, dice: random.Random) -> list[bytes]:
    message = dice.choice(SUBJECTS) + b" %d\n\nA body.\n" % number
    content = b"line\n" * dice.randrange(5) + b"%d\n" % number
    moment = b"%d %s" % (1_600_000_000 + number * 60 - dice.randrange(120), dice.choice([b"+0000", b"-0730"]))
    lines = [
        b"commit refs/heads/main",
        b"mark :%d" % number,
        b"author %s %s" % (dice.choice(AUTHORS), moment),
        b"committer %s %s" % (AUTHORS[0], moment),
        b"data %d" % len(message),
        message,
    ]
    if number > 1:
        lines.append(b"from :%d" % (number - 1))
    if number > 10 and dice.random() < 0.1:
        lines.append(b"merge :%d" % dice.randrange(1, number - 2))
    return [*lines, b"M 100644 inline file%d" % dice.randrange(8), b"data %d" % len(content), content]


def _git(*arguments: str, stdin: bytes = b"") -> None:
    subprocess.run(["git", *arguments], input=stdin, check=True, capture_output=True)
