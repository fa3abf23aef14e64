"""Review: looking through stored videos, and verdicts on them."""
