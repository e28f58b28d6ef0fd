"""The messages of the loop and their values. They import nothing of ours but errors; all of ours may import them."""
