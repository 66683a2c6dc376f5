"""Whether devices are well: visits around a wheel, slow checks in rounds, what devices tell by themselves, and the states that follow."""
