"""Where a network's accuracy comes from: proxy training, a supernet, a surrogate or a table."""
