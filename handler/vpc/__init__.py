"""The cloud: the VPC API over HTTPS, its signatures, its credentials, and an emulator of it."""
