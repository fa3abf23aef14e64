"""`python -m seedance_dagster.cli`, for programs that start it."""

from seedance_dagster.cli import main

main()
