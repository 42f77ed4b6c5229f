"""What tests share: inputs, hands, and networks that answer quickly."""
