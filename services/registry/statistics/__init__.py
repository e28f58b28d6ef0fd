"""What the numbers of a run say: intervals, rates, summaries."""
