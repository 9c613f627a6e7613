"""What the shop cannot do: let a note go, so that its key may come back."""

from store.engine.reducer import Context, reducer
from tests.engine.shop import Note


@reducer
def forget(ctx: Context, key: str) -> bool:
    """Remove a note; whether there was one."""
    return ctx.table(Note).delete(key)
