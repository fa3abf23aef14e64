"""The command `python -m seedance_dagster.emulator`."""

from seedance_dagster.emulator.command import main

main(prog_name="python -m seedance_dagster.emulator")
