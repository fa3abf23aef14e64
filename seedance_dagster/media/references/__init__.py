"""Reference files at their own hosts: what they are, looked at with as few bytes as needed."""
