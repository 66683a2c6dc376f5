"""How devices are spoken to: one package a protocol, each behind the small capability Protocols of `base`."""
