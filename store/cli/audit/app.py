"""`store audit`, put together."""

import typer

from store.cli.audit.auditing import add_auditors
from store.cli.audit.keeping import forget, hold, init, keys_app, rebuild, status
from store.cli.audit.prune import prune_trail
from store.cli.audit.reveal import reveal_event
from store.cli.audit.ship import ship
from store.cli.audit.witness import witness

audit_app = typer.Typer(no_args_is_help=True, help="The trail that nobody can change unseen.", rich_markup_mode=None)

for each in (init, status, ship, forget, hold, rebuild):
    audit_app.command()(each)
audit_app.command(name="reveal")(reveal_event)
audit_app.command(name="prune")(prune_trail)
audit_app.add_typer(keys_app, name="keys")
audit_app.command()(witness)
add_auditors(audit_app)
