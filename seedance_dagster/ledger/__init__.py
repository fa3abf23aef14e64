"""What was ordered and paid: SQL tables, claims, leases, transitions and the journal."""
