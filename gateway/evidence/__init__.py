"""Evidence packages: what one is, and whether it still is what was signed. Alone, without gateway, network or clock."""
