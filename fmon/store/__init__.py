"""Files of an experiment: log, state, manifest, audit, and their crash rules."""
