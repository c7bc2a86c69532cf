"""What FunctionGraph calls: `index.handler` for every event, `index.initializer` before the first one."""

from handler.functiongraph import handler, initializer

__all__ = ["handler", "initializer"]
