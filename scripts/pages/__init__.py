"""The documents' figures: a module for each page that has any, whose `figures` returns what stands between the markers."""
