"""The phases of an experiment: one module and one public function each; they never print."""
