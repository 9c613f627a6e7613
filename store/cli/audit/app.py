"""`store audit`, put together."""

import typer

from store.cli.audit.auditing import add_auditors
from store.cli.audit.ship import ship
from store.cli.audit.witness import witness

audit_app = typer.Typer(no_args_is_help=True, help="The trail that nobody can change unseen.", rich_markup_mode=None)

audit_app.command()(ship)
audit_app.command()(witness)
add_auditors(audit_app)
