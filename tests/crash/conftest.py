"""The same tenants as end to end."""

from tests.end_to_end.conftest import make_tenant

__all__ = ["make_tenant"]
