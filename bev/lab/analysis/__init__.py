"""Analyses of finished evaluations."""
