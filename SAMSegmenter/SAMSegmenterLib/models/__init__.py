"""Networks: which there are (`catalog`), where their files lie (`store`), and how they are read (`loading`)."""
