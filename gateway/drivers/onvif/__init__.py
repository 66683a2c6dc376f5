"""ONVIF cameras, recorders and loudspeakers: a cheap path for health, and a rich one for everything else."""
