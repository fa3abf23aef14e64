"""Reference files at their hosts, probed by reading as few bytes as possible."""
