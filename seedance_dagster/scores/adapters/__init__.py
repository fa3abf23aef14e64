"""Scores by your own models. Nothing here imports a model's library; the model does so when it is used."""
