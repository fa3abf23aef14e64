"""The origin of a video, task or file and everything that became of it, read from the ledger."""
