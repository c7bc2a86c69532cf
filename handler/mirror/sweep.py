"""The use case sweep: the same for every source of a project. What no event told, the sweep finds."""
