"""The TGI-compatible model server for machines without a GPU: a process of its own, spoken to over HTTP only."""
