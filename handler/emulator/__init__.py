"""An emulator of the VPC API; it imports nothing of ours."""
