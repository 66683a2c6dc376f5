"""The HTTP door: gate, policies, problems, frames of a live voice; one module a noun under `routes/`."""
