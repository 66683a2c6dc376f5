"""A whole city of simulated cameras, loudspeakers, recorders and switches, each on a 127.x address of its own."""
