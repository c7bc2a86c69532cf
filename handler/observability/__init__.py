"""Log lines, trace context, metrics and spans."""
