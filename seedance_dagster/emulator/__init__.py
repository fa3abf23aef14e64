"""A local Seedance service that behaves as the vendor is known to, faults included.

It shares no code with the rest of the package, so that a wrong belief about the vendor cannot hide on both
sides. `app.create_app` builds the ASGI application, `server.serve` runs it, and the command is
`python -m seedance_dagster.emulator`. Its behaviour is documented in `docs/emulator.md`.
"""
