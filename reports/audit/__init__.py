"""Whether tables that somebody published can be true: rules that need no device."""
