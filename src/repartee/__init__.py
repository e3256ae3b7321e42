"""Self-hosted real-time voice agents."""
