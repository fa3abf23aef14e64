"""Scores by models of your own. Nothing here imports a model's library; the model does so when it is used."""
