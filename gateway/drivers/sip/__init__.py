"""SIP (RFC 3261) as far as a call to a loudspeaker needs it."""
