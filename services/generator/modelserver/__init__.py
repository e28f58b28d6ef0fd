"""TGI-compatible model server for machines without a GPU: a process of its own, reached over HTTP only."""
