"""A game of two guards who must name the colour that they see, in a package of its own."""
