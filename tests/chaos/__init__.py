"""The fault suite: real processes, killed at every boundary, compared with the emulator's accounts.

`make chaos ROUNDS=n SEED=s` runs the rounds of seeds s, s+1, ...; a round is drawn from its seed alone.
"""
