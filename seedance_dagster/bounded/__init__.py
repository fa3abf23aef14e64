"""Reading of files that nobody trusts, in processes that are bounded in time and memory."""
