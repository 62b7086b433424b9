"""A whale that says where it is."""
