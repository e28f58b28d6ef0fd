"""The views of the page: each reads what is recorded, and answers with a template."""
