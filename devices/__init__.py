"""Places where Plans are played. A device carries a bundle to a player and brings Traces back."""
