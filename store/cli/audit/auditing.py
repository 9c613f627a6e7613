"""The auditors' commands of `store audit`: they read a trail, and change nothing in it."""

import typer

from store.cli.audit.export import export
from store.cli.audit.prove import head, prove, verify_proof
from store.cli.audit.query import query
from store.cli.audit.report import report
from store.cli.audit.trails import AuditorsCommand
from store.cli.audit.verify import verify


def add_auditors(app: typer.Typer) -> None:
    """Put them beside the operators' commands."""
    for command in (verify, prove, verify_proof, head, export, report, query):
        app.command(cls=AuditorsCommand)(command)
