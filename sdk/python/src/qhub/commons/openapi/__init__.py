"""The OpenAPI description of a service."""
