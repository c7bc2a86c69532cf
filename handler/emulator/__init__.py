"""An emulator of the VPC API; it imports nothing of ours, so that it cannot drift to suit the client."""
