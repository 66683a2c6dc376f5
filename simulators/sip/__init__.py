"""Loudspeakers that are telephones: SIP (RFC 3261) as horns answer it."""
