"""Real prompt files and videos, damaged by the thousand: each is read, or refused in words.

`python -m fuzz --format csv --files 10000 --seed 1` runs it by hand; a small slice of it is a test.
"""
