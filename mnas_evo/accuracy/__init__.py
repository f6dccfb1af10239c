"""Where a network's accuracy comes from: proxy training or a table."""
