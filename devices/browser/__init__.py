"""Browsers as devices: something opens a page, the page is a player, and a server process carries bundles to it."""
