"""Reproduction of published figures: measured, compared, and explained stage by stage."""
