"""The report as one file that a browser opens: see README.md."""
