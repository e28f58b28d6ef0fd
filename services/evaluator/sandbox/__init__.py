"""The sandbox in which hostile code runs: its port, and its implementation as a fork server of confined children."""
