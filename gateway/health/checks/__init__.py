"""What is checked of a device: one file a check, and `table`, which names them all and says who gets which."""
