"""Where a thing comes from and what became of it: read from the ledger, changed nowhere."""
