"""Checks of a data set that list all damage at once."""
