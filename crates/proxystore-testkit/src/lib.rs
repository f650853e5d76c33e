//! Contract suite for connectors.
