"""Tables of the ledger, as SQLAlchemy declares them."""
