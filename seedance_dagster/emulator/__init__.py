"""A local Seedance service that behaves as the vendor is known to, faults included.

It shares no code with the rest of the package, so a wrong belief about the vendor cannot hide on both sides.
`app.create_app` builds the ASGI application, `server.serve` runs it, `python -m seedance_dagster.emulator` is
the command. Everything it does is written down in `docs/emulator.md`.
"""
