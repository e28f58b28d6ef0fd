"""What a run tells the LLM of its closed cycles: pure strategies, and `recollection`, which reads the rows for them."""
