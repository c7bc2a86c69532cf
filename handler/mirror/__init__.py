"""What to do: the use cases detach and sweep, pure but for the port in `api`."""
