"""What a call leaves behind for those who look at it later."""
