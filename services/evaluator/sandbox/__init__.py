"""Where hostile code runs: the port, and its implementation as a fork server of confined children."""
