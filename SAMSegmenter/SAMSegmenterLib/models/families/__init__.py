"""One module per family of networks: builds the network and states its normaliser."""
