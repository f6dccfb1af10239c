"""Networks over widths and input sizes: how fast, how accurate, and which way of shrinking costs less."""
