"""Algorithms compared on one problem: their runs, what these come to, and what can be said of it."""
