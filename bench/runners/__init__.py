"""Runners: other engines that measure themselves, their results turned into records with the same definitions."""
