"""Pure functions of records: statistics and tables."""
