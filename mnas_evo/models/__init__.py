"""Networks made runnable from the lowered graph: torch modules and ONNX files."""
