"""The origin of a video, task or file, and its whole history, read from the ledger."""
