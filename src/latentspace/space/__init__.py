"""A fitted model with the items it has encoded: on disk, and measured."""
