"""Recipes, the training loop and the metrics."""
