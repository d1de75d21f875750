"""Ways to store an array of numbers, one a file: the well-kept ones, and those that learn."""
