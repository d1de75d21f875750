"""Data in: each kind of items, read, encoded and decoded."""
