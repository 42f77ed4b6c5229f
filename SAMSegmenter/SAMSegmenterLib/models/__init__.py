"""Models: those that can be chosen (`catalog`), their files on this machine (`storage`), and how they are loaded (`loading`)."""
