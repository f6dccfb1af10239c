"""From a front to a shipped model: choosing, re-measuring, final training, export."""
