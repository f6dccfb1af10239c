"""One self-contained HTML page from the folders a job left behind."""
