"""Records in the files of other programs, and back: tables, llama-bench, pytest-benchmark; folders joined by id."""
