"""Voices in the street: orders accepted durably, arbitrated, routed to loudspeakers and accounted for, speaker by speaker."""
