"""What is wrong and who mends it: incidents, maintenance windows, work orders."""
