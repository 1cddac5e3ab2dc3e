"""The only place that talks to SkyPilot."""
