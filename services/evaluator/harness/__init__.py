"""Code that runs inside the sandbox around the candidate. The trusted process relies on nothing in it."""
