"""The only code that can change anything in SkyPilot: launch and cancel."""
