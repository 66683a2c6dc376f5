"""The pacer: what is said to all loudspeakers, packet by packet and on time, in a process that does nothing else."""
