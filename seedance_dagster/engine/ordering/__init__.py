"""Before money moves: quotes, budgets, references, and placing orders."""
