"""What is kept of calls: who called when, what was said and heard, what it cost."""
