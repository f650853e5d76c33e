"""Connectors move the bytes of a store to a place that keeps them."""
