"""A library that only this project uses."""


def blow(name: str) -> str:
    """Says that `name` blows."""
    return f"There blows the {name}!"
