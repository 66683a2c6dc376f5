"""How the parts of the daemon are put together, one module a field: each is handed what it needs, and nothing looks anything up."""
