"""End jobs: what the kill switch proposes or a person names; close what the queue lost."""
