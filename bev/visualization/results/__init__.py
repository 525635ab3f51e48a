"""Pictures of predictions of several sources: results files and detectors side by side."""
