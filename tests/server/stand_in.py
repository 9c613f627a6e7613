"""Stands in for `python -m store …`: says, hangs and fails as the script in its folder tells; notes how."""

import json
import os
import sys
import time

folder, words = sys.argv[1], sys.argv[2:]
verb = words[1]


def note(what: str) -> None:
    """One line, whole, whoever else writes."""
    line = json.dumps({"what": what, "pid": os.getpid(), "verb": verb, "words": words}) + "\n"
    descriptor = os.open(os.path.join(folder, "ran"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)  # noqa: PTH118  # Starts quicker without pathlib.
    os.write(descriptor, line.encode())
    os.close(descriptor)


def value(flag: str) -> str:
    """What stands behind a flag."""
    return words[words.index(flag) + 1] if flag in words else ""


note("begin")
with open(os.path.join(folder, "script")) as file:  # noqa: PTH118, PTH123  # As above.
    script = json.load(file)
for act, what in script.get(verb, []):
    if act == "say":
        said = json.dumps(what)
        for flag in ("--through", "--fingerprint", "--scratch"):
            said = said.replace(f'"{flag}"', value(flag) or "0" if flag == "--through" else json.dumps(value(flag)))
        print(said, flush=True)  # noqa: T201  # It is its work.
    elif act == "hang":
        print('{"event": "progress", "phase": "hanging", "done": 0, "total": 1}', flush=True)  # noqa: T201  # As above.
        time.sleep(what)
    elif act == "litter":
        with open(os.path.join(value("--scratch"), "litter"), "w"):  # noqa: PTH118, PTH123  # As above.
            pass
    elif act == "exit":
        note("end")
        sys.exit(what)
    elif act == "fail":
        note("end")
        sys.exit(json.dumps({"error": "OSError", "message": what, "hint": "", "exit": 74}))
note("end")
