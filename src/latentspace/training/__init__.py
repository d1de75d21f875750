"""The loop, the optimiser, the checkpoints."""
