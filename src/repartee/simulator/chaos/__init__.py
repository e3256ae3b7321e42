"""The chaos suite: calls in which one thing goes wrong, judged by what was heard and what was kept."""
