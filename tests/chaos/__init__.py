"""The fault suite: real processes, killed at every boundary, judged by the emulator's books.

`make chaos ROUNDS=n SEED=s` runs the rounds of the seeds s, s+1, ...; a round is drawn from its seed alone.
"""
