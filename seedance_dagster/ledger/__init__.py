"""The ledger of orders and charges, in SQL."""
