"""What is done with a device beyond watching it: pictures, for now."""
