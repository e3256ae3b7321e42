"""Cases made up by Hypothesis, for everything that reads what somebody else has written."""
