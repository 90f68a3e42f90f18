"""Checks of what users give: names, ranges, files and folders; and the errors that refuse bad input."""
