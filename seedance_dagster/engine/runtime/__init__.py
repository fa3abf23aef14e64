"""Running the stages: worker pools, the background thread, and what a run does beside its orders."""
