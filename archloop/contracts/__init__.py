"""The language of the loop. Imports nothing of ours but errors; everything of ours may import it."""
