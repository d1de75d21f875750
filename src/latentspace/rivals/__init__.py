"""The classical methods that latents are measured beside, one a file."""
