"""What is done with a device beyond watching it: pictures, where it looks, and its power."""
