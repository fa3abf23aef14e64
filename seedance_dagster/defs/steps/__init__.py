"""The work of a step, a tick or a check, imported when it runs."""
