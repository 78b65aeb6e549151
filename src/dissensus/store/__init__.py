"""What listeners told, kept: an event log on SQLite or PostgreSQL, consents, export and erasure.

The log is the only durable truth. Models of listeners are functions of it and may be thrown away. A store knows ids, labels,
times and bytes, and no model.
"""

from dissensus.store.opening import open_store
from dissensus.store.records import Consent, Erasure, Event, ListenerRecord, Receipt, Store, Token, Votes

__all__ = [
    "Consent",
    "Erasure",
    "Event",
    "ListenerRecord",
    "Receipt",
    "Store",
    "Token",
    "Votes",
    "open_store",
]
