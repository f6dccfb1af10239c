"""The search space: blocks, architectures, networks, their notation and their lowering to a graph."""
