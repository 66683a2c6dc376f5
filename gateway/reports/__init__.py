"""Uptime told so that nobody can dispute it: availability by days and months, excuses, reports as tables, sheets and printed pages."""
