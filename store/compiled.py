"""Functions written as text for one table or one reducer, and compiled once.

What a general function would look up at every call stands in them.

Laws: a text holds names that match NAME_PATTERN, numbers, and what stands in the source; never anything a client said.
It can be read in a traceback as any other.
"""

import linecache
from collections.abc import Callable, Mapping
from typing import Any


def compile_function(text: str, name: str, words: Mapping[str, Any]) -> Callable[..., Any]:
    """The function that `text` defines, as `name`; `words` are the globals it sees.

    SyntaxError is a bug of whoever wrote the text.
    """
    file = f"<{name}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    seen = dict(words)
    exec(compile(text, file, "exec"), seen)  # As the law says.  # noqa: S102
    function: Callable[..., Any] = seen[name.rpartition(".")[2]]
    function.__qualname__ = name
    return function
