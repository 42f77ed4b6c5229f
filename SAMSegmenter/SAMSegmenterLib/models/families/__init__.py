"""One module for each family of models: it builds the network and states its normaliser."""
