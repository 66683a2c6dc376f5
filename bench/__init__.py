"""What `./gw bench` measures: one module a bench, as `__main__` names them; the others are what they measure with."""
