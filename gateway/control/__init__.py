"""What is done with a device beyond watching it: pictures, and where it looks."""
