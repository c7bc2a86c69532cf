"""The cloud: the VPC API over HTTPS, its signatures and its credentials."""
