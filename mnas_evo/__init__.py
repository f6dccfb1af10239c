"""mnas_evo: find the most accurate image classifier that really runs within a device's latency budget."""
