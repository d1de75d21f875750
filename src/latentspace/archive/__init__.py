"""The file that holds data in few bytes: what is in it, and how it is written and read."""
