"""Migrations of the ledger's schema: an alembic environment that `Database` runs when it opens a ledger."""
