"""The uses of a space, one function a file; its signature is the Python call and the command."""
