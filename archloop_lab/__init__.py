"""Analysis of runs: reports, studies, comparisons, LEMUR in and out. Returns values, and prints nothing."""
