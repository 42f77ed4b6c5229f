"""Things that tests share: inputs, hands, and networks that answer quickly."""
