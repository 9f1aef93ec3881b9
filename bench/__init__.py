"""Cases, the order they run in, the checks before them, and the command line."""
