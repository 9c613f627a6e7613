"""The page of the language: what it shows and counts is so."""

import re
from pathlib import Path

import pytest

import store.expression
import store.query
from store.query.shaping.projecting import OUTPUTS_MAX
from store.query.syntax.lexing import PARAMETERS_MAX, QUERY_DEPTH_MAX, QUERY_LENGTH_MAX
from store.query.syntax.parsing import SUBQUERY_DEPTH_MAX, parse
from store.query.syntax.values import NESTING_MAX
from store.query.syntax.words import FUNCTIONS, OPERATORS, SPECIAL_FUNCTIONS
from store.query.types import texts
from store.schema import Table, column
from store.values import Json


class Task(Table, name="tasks"):
    """What the page's lines of Python speak of."""

    id: int = column(primary_key=True)
    owner: str
    points: int
    notes: Json


PAGE = (Path(store.query.__file__).parent / "QUERIES.md").read_text()
EXAMPLES = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)[0].splitlines()


@pytest.mark.parametrize("sql", EXAMPLES)
def test_its_examples_are_read(sql: str) -> None:
    """Each line is a statement."""
    assert parse(sql).select.sources


def test_its_lines_of_python_are_queries() -> None:
    """Each makes a text that the server takes."""
    names = {**vars(store.expression), "Task": Task}
    lines = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0].splitlines()
    assert [parse(eval(each, names).sql).select.sources[0].table.text for each in lines] == ["tasks"] * 3  # noqa: S307  # The page's own.


def test_every_function_and_operator_is_named() -> None:
    """All of them, in the section of values."""
    section = PAGE.split("## 3. Values", 1)[1].split("## 4.", 1)[0]
    said = set(re.findall(r"[a-z_]+|[^\sa-zA-Z`,;()]+", section.replace("CAST", "cast")))
    assert FUNCTIONS | SPECIAL_FUNCTIONS | OPERATORS | {"?", "::"} <= said | {"::"}


def test_its_limits_are_the_codes() -> None:
    """Each with its number."""
    section = PAGE.split("## 5. Limits", 1)[1]
    numbers = [QUERY_LENGTH_MAX, QUERY_DEPTH_MAX, NESTING_MAX, PARAMETERS_MAX, OUTPUTS_MAX, texts.TEXT_SIZE_MAX >> 20]
    for number in numbers:
        assert re.search(rf"\b{number:,}\b", section), number
    assert f"up to {SUBQUERY_DEPTH_MAX} deep" in PAGE
