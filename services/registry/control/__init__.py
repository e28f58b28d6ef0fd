"""Run control: which registry leads, what is asked for next, and how a run ends."""
