"""Studies: several variants of one run, each with several seeds, and one report that sets them against each other."""
