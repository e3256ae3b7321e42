"""The other side of a call: providers that are simulated, callers that are real."""
