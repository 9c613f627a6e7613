"""An in-memory commitlog store with subscriptions: one process serves one tenant.

Every reducer call is numbered, appended, applied, made durable, and then told. ARCHITECTURE.md draws the house.
A domain imports `store.schema` (Table, column), `store.engine.reducer` (reducer, Context) and `store.errors`;
an agent imports `store.client` (connect). Nothing is re-exported here: this door stays free of the engine.
"""

__version__ = "0.1.0"
