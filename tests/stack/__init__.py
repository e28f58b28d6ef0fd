"""The five services as processes on real servers."""

from tests.stack.stack import SERVICES, Servers, Stack

__all__ = ["SERVICES", "Servers", "Stack"]
