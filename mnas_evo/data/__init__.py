"""Image data sets and their seeded splits."""
