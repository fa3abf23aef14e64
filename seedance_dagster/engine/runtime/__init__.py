"""Running the stages: the pipeline, its background thread, maintenance, and the decision to start a run."""
