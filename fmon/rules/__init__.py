"""F1 to F5 and the kill switch as pure decisions: rows in, a refusal or nothing out."""
