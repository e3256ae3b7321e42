"""Voices compared: what they say, how it is measured, and the page one can listen to."""
