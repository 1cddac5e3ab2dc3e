"""Cancel the jobs that the kill switch proposes or a person selects; close lost jobs."""
