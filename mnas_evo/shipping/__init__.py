"""What becomes of a trained network: its test, and files for other programs, checked against torch."""
