"""Records to and from files of other shapes: CSV, Parquet, SQL, and what other tools write."""
