"""The HTTP edge: who may call, what the body says, and the answer."""
