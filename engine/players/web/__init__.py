"""The web player: a page that replays Plans, and the server process that carries them to it."""
