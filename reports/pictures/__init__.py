"""Pictures of records, drawn with matplotlib: see README.md."""
