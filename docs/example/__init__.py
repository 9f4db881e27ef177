"""The sample configuration, as data: `tidegate init` writes it. Nothing here is code."""
