"""Steps of the tables from one version to the next; in the package, so that they ship with it."""
