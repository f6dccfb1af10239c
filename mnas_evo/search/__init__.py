"""Searchers behind ask and tell, the archive, and the loop that drives them."""
