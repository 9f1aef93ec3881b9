"""Which format to ship to a device, from evidence: see README.md."""
