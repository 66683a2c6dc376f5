"""The door to people: tells whom it concerns what has happened, once, complete, and says why it did not where it did not.

`Notifier` follows the incidents' events with a stored cursor, decides by the pure rules of `domain/alerting.py`, and writes what it
decided (messages to send, bundles, the reasons of what is held back) and the cursor in one transaction. One courier a channel takes the
messages from the store in order; a message that may have been sent and is not known to be is sent again with the same id. Channels are
the only part of the daemon that speaks to anything outside the device network, to destinations that the alerts file fixes.
"""
