"""What was measured and what is predicted from it: runs, tables, sums, calibration, correction."""
