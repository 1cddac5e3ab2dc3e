"""fmon: monitor, diagnosis and dispatcher for factorial experiments on SkyPilot."""
