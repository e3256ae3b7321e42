"""HTTP: token endpoint and web page. Nothing is imported here: commands that want one part do not wait for all."""
