"""Attacks on the function, as bytes on a socket, and the world in which they are tried: see `table`."""
