"""Records of what ran: their shape and the append-only folder that keeps them. Imports nothing else of Tritmark."""
