"""Run control: who speaks, what is asked for next, and how a run ends."""
