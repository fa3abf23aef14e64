"""The Dagster side: what a code location declares, loaded fast; the work itself is in `steps`."""
