"""The ground of Archloop: messages, bus, blobs and operations that all services share."""

__version__ = "0.1.0"
