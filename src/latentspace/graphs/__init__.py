"""One half alone: what was learnt as a graph that ONNX Runtime runs, or as weights with a card; needs no torch."""
