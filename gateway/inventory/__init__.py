"""What stands in the street: imports, exports, bulk edits, searches, surveys of uplinks, bindings; no change but on somebody's word."""
