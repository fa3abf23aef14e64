"""The reference code location: prompt sets, bucket, key and ledger come from the environment."""

from __future__ import annotations

from seedance_dagster.defs.definitions import definitions_from_environ

defs = definitions_from_environ()
