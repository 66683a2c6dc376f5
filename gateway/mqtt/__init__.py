"""The MQTT door: states and events go out to the platform's broker, commands to broadcast come in."""
