"""Devices under test: what an audio engineer measures of networks and of the device that they imitate."""
