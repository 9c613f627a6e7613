"""Values in JSON."""

import json
from datetime import UTC, datetime

import msgspec
import orjson
from hypothesis import given
from hypothesis import strategies as st

from store.audit.objects.json_form import NUMBER_MAX, plain, to_json, to_json_text


def test_values_have_the_forms_of_the_wire() -> None:
    """Sorted members, integers past 2^53-1 as decimal strings, bytes as base64, times as RFC 3339 in UTC."""
    moment = datetime(2026, 11, 21, 7, 0, 0, 123456, UTC)
    assert to_json({"b": 1, "a": [True, None, 0.5, "\u2603"]}) == '{"a":[true,null,0.5,"\u2603"],"b":1}'.encode()
    assert to_json_text([NUMBER_MAX, NUMBER_MAX + 1, -NUMBER_MAX - 1]) == (
        '[9007199254740991,"9007199254740992","-9007199254740992"]'
    )
    assert to_json_text([b"\xff", moment]) == '["/w==","2026-11-21T07:00:00.123456Z"]'
    assert to_json_text(msgspec.msgpack.Ext(7, b"\0")) == '{"data":"AA==","ext":7}'


def test_names_that_are_no_text_are_named_by_it() -> None:
    """A map of another version of the store has a form, too."""
    assert to_json_text({1: "x", b"\xff": [{2: 2**60}]}) == '{"\\"/w==\\"":[{"2":"1152921504606846976"}],"1":"x"}'


def test_what_is_nested_too_deeply_has_a_form() -> None:
    """It ends where nobody reads on."""
    value: object = 2**60
    for _ in range(500):
        value = [value]
    assert "nested too deeply" in to_json_text(value)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(values)
def test_the_same_value_has_the_same_form(value: object) -> None:
    """Taken apart or in one go; and it is read back as what it was, large integers as text."""
    assert to_json(value) == orjson.dumps(plain(value), option=orjson.OPT_SORT_KEYS)
    assert json.loads(to_json(value)) == plain(value)
