"""The whole house on one machine: simulated city, broker, gateway and an observer that judges them from outside."""
