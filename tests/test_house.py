"""The rules of the house that no linter knows: what floors 0 to 4 may not call; that every module has its tests."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

LOWER_FLOORS = ("audit", "backup", "engine", "log", "query", "snapshot", "subscribe", "tables", "upkeep")
"""The rooms of floors 2 to 4. Floor 1, env, is where the world comes in; all else on top is ground."""
ROOFS = {"__main__.py", "config.py", "testing.py"}
"""Files at the top of store/ that are not ground."""

BANNED_NAMES = {"open", "input", "print", "exec", "eval", "breakpoint", "globals", "id", "hash"}
"""Builtins that reach the world, or differ from run to run."""
BANNED_ATTRIBUTES = {
    "now": {"datetime"},
    "utcnow": {"datetime"},
    "today": {"datetime", "date"},
    "uuid1": {"uuid"},
    "uuid4": {"uuid"},
    "time": {"time"},
    "time_ns": {"time"},
    "monotonic": {"time"},
    "sleep": {"time"},
    "perf_counter": {"time"},
}
"""Attributes nobody calls there, by the module or class they belong to."""
ALLOWED_CALLS = {
    ("store/compiled.py", "exec"): "The one place for it, and its law says of what.",
    ("store/query/types/kinds.py", "hash"): "As in values.py.",
    ("store/values.py", "hash"): "The hash of a str, for a dict in RAM: nothing iterates in its order.",
}
"""(file, name): why it may."""


def lower_files() -> list[Path]:
    """Every file on floors 0 to 4, and every reducer."""
    ground = [path for path in (ROOT / "store").glob("*.py") if path.name not in ROOFS]
    rooms = [path for room in LOWER_FLOORS for path in (ROOT / "store" / room).rglob("*.py")]
    return sorted([*ground, *rooms, *(ROOT / "reducers").glob("*.py")])


def relative(path: Path) -> str:
    """A path as one says it from the root."""
    return path.relative_to(ROOT).as_posix()


def banned_calls(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, what) for each call that reaches the world, and each import of a name that would."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names = [each.name for each in node.names if node.module in BANNED_ATTRIBUTES.get(each.name, set())]
            yield from ((node.lineno, name) for name in names)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in BANNED_NAMES:
            yield node.lineno, node.func.id
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            name = node.value.id
            if name in BANNED_ATTRIBUTES.get(node.attr, set()):  # Also where it is only handed on.
                yield node.lineno, f"{name}.{node.attr}"


@pytest.mark.parametrize("path", lower_files(), ids=relative)
def test_below_the_doors_nothing_reads_a_clock_rolls_dice_or_opens_files(path: Path) -> None:
    """No datetime.now(), no time.*, no uuid1 or uuid4, no open(): the world comes in through env/ alone."""
    found = [
        f"line {line}: {what}"
        for line, what in banned_calls(ast.parse(path.read_text()))
        if (relative(path), what) not in ALLOWED_CALLS
    ]
    assert found == []


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("datetime.now(UTC)", "datetime.now"),
        ("x = [date.today()]", "date.today"),
        ("uuid.uuid4()", "uuid.uuid4"),
        ("from uuid import uuid4", "uuid4"),
        ("time.time()", "time.time"),
        ("with open('x') as f: pass", "open"),
        ("lambda: time.monotonic()", "time.monotonic"),
        ("clock = time.time", "time.time"),
        ("from time import perf_counter", "perf_counter"),
    ],
)
def test_a_call_that_reaches_the_world_is_seen(code: str, what: str) -> None:
    """Wherever it stands."""
    assert [each for _, each in banned_calls(ast.parse(code))] == [what]


def test_no_call_is_allowed_without_need() -> None:
    """What the table allows is called."""
    for name, what in ALLOWED_CALLS:
        assert what in [each for _, each in banned_calls(ast.parse((ROOT / name).read_text()))]


def test_what_only_looks_like_one_is_not() -> None:
    """A context's `now`, a log's `open`, a row's `time`."""
    assert list(banned_calls(ast.parse("ctx.now; Commitlog.open(disk); self.time(); clock.now()"))) == []


WITHOUT_TESTS_OF_THEIR_OWN = {
    "store/ids.py": "Names for integers: there is nothing to run.",
    "store/query/syntax/statement.py": "Fields: held by tests/query/syntax/test_parsing.py.",
    "store/query/syntax/words.py": "Words: held by tests/query/syntax/test_lexing.py.",
    "store/transaction.py": "Fields: held by tests/test_codec.py and by the worked example of log/FORMAT.md.",
    "store/env/world.py": "Protocols: held by tests/contracts/ for all who claim them.",
    "store/__main__.py": "The door to store/cli.",
}
"""Module: why no test file bears its name."""

COMMANDS, DEMO = "tests/cli/test_commands.py", "tests/cli/test_demo.py"
SNAPSHOT, RESTORE = "tests/cli/upkeep/test_snapshot.py", "tests/cli/upkeep/test_restore.py"
SHARED_TESTS = {
    "store/subscribe/delivery.py": "tests/subscribe/test_deliveries.py",
    "store/subscribe/means.py": "tests/subscribe/test_deliveries.py",
    **dict.fromkeys(
        [f"store/audit/recording/{each}.py" for each in ("members", "taxonomy")], "tests/audit/recording/test_events.py"
    ),
    "store/cli/audit/app.py": "tests/cli/audit/test_witness.py",
    "store/cli/app.py": COMMANDS,
    "store/cli/arguments.py": COMMANDS,
    "store/cli/call.py": COMMANDS,
    "store/cli/configuration.py": COMMANDS,
    "store/cli/domains.py": COMMANDS,
    "store/cli/exits.py": COMMANDS,
    "store/cli/token.py": COMMANDS,
    "store/cli/watch.py": COMMANDS,
    "store/cli/demo_report.py": DEMO,
    "store/cli/demonstration.py": DEMO,
    "store/cli/log_verdict.py": "tests/cli/test_log.py",
    "store/cli/upkeep/catalog.py": SNAPSHOT,
    "store/cli/upkeep/drill.py": SNAPSHOT,
    "store/cli/upkeep/snapshot_files.py": SNAPSHOT,
    "store/cli/upkeep/snapshot_retention.py": SNAPSHOT,
    "store/cli/upkeep/snapshot_views.py": SNAPSHOT,
    "store/cli/upkeep/generation.py": RESTORE,
    **dict.fromkeys(
        [f"store/cli/upkeep/backup_{each}.py" for each in ("arguments", "keys", "retention", "views")],
        "tests/cli/upkeep/test_backup.py",
    ),
    "store/cli/upkeep/preview.py": RESTORE,
    "store/cli/upkeep/sources.py": RESTORE,
    "store/cli/upkeep/targets.py": RESTORE,
    "store/audit/reading/verifying/tally.py": "tests/audit/reading/test_reporting.py",
    "store/audit/reading/verifying/writes.py": "tests/audit/reading/verifying/test_snapshot.py",
    **dict.fromkeys(
        [
            f"store/audit/reading/verifying/{each}.py"
            for each in ("batch", "evidence", "findings", "listing", "manifests", "passing", "request", "signatures")
        ],
        "tests/audit/reading/verifying/test_trail.py",
    ),
    **dict.fromkeys(
        [f"store/cli/audit/{each}.py" for each in ("auditing", "workers")], "tests/cli/audit/test_verify.py"
    ),
    **dict.fromkeys(
        [f"store/expression/{each}.py" for each in ("arithmetic", "functions")], "tests/expression/test_language.py"
    ),
    **dict.fromkeys(
        [f"store/expression/{each}.py" for each in ("columns", "nodes", "orders", "rendering")],
        "tests/expression/test_terms.py",
    ),
    "store/client/dial.py": "tests/client/test_connection.py",
    "store/client/options.py": "tests/client/test_connection.py",
    "store/client/transport.py": "tests/client/test_connection.py",
    **dict.fromkeys(
        [
            *[
                f"store/query/types/{each}.py"
                for each in ("casts", "documents", "functions", "kinds", "numbers", "texts")
            ],
            *[f"store/query/meaning/{each}.py" for each in ("coercion", "conditions", "constructs", "expressions")],
        ],
        "tests/query/meaning/test_compiling.py",
    ),
    "store/query/access.py": "tests/query/test_asking.py",
    "store/query/shaping/aggregates.py": "tests/query/test_asking.py",
    "store/query/shaping/grouping.py": "tests/query/test_asking.py",
    "store/query/problems.py": "tests/query/syntax/test_parsing.py",
    **dict.fromkeys(
        [f"store/query/syntax/{each}.py" for each in ("nodes", "tree", "values")], "tests/query/syntax/test_parsing.py"
    ),
    "store/query/shaping/projecting.py": "tests/query/test_live.py",
    "store/query/routing.py": "tests/query/test_live.py",
    "store/query/meaning/tables.py": "tests/query/test_live.py",
    **dict.fromkeys(
        [f"store/server/{each}.py" for each in ("maintenance_options", "works", "workshop")],
        "tests/server/test_maintenance.py",
    ),
    "store/subscribe/options.py": "tests/subscribe/test_session.py",
    "store/upkeep/making.py": "tests/upkeep/test_restore.py",
}
"""Module: the test file in which it is held together with its neighbours."""


def modules() -> list[str]:
    """Every module of the store, but the doors with names on them."""
    return sorted(relative(path) for path in (ROOT / "store").rglob("*.py") if path.name != "__init__.py")


def mirrored(module: str) -> list[Path]:
    """The test files that bear a module's name, in its own room of tests/ or anywhere beside."""
    name = Path(module).stem
    own = ROOT / "tests" / Path(module).relative_to("store").parent
    return [path for path in (ROOT / "tests").rglob(f"test_{name}.py") if path.parent in {own, *beside()}]


def beside() -> set[Path]:
    """The rooms of tests/ that mirror none of store/."""
    return {ROOT / "tests" / room for room in ("contracts", "crash", "end_to_end", "fuzz")}


@pytest.mark.parametrize("module", modules())
def test_every_module_has_its_own_tests(module: str) -> None:
    """tests/ mirrors store/: a module is covered on purpose, or the table says why not."""
    excused = module in WITHOUT_TESTS_OF_THEIR_OWN
    shared = module in SHARED_TESTS and (ROOT / SHARED_TESTS[module]).exists()
    assert excused or shared or mirrored(module), f"{module} has no tests/…/test_{Path(module).stem}.py"


def test_no_module_is_excused_without_need() -> None:
    """The tables name modules that exist, and have no test file of their own."""
    for module in (*WITHOUT_TESTS_OF_THEIR_OWN, *SHARED_TESTS):
        assert (ROOT / module).exists(), module
        assert not mirrored(module), module


def each_test(path: Path) -> list[ast.FunctionDef]:
    """The tests in a file."""
    return [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("test_*.py")), ids=relative)
def test_every_test_says_its_rule(path: Path) -> None:
    """A docstring of one sentence or more, that ends in a full stop; the file has one, too."""
    assert ast.get_docstring(ast.parse(path.read_text())), "the file has no docstring"
    unsaid = [each.name for each in each_test(path) if not (ast.get_docstring(each) or "").rstrip().endswith(".")]
    assert unsaid == []
