"""The vocabulary and the rules of the city: pure values, tables and functions, no I/O and no clock."""
