"""The reference code location, configured by environment variables."""

from __future__ import annotations

from seedance_dagster.defs.definitions import definitions_from_environ

defs = definitions_from_environ()
