"""English text that every Python installation carries, and what is made of it: baselines, a tokenizer, instructions."""
