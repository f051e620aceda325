"""Engines: token ids in, token ids out. An engine knows nothing of text, prompts or students."""

from dnc_edge.engines.observer import Observer
from dnc_edge.engines.protocol import GREEDY, Engine, Request, Sampling, Step

__all__ = ["GREEDY", "Engine", "Observer", "Request", "Sampling", "Step"]
