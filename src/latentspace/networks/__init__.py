"""Encoders and decoders, what is kept after training."""
