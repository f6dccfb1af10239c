"""What was measured and what is predicted from it: runs, tables, the predictor and its parts."""
