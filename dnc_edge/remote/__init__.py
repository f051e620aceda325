"""Remote models: one request from its admission by the gate to a typed reply."""
