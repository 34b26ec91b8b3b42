"""The local provider in the words of others: their paths, replies, streams and error bodies, on one socket, with one bill."""

from sdk.providers.world import World

__all__ = ["World"]
