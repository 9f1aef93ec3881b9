"""Bundles: records in one signed archive that strangers can check."""
