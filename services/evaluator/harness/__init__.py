"""What runs inside the sandbox around the candidate. Nothing in the trusted process relies on it being left intact."""
