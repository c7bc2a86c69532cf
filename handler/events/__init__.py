"""What happened: payloads in, events out. Pure."""
