"""Whether two sets of results differ, by their sessions: see README.md."""
