"""From a front to trained networks: choosing, re-measuring, final training of one or several."""
