"""Colours by role, for light and for dark paper. Plots are drawn with the light ones; a page names roles."""

LIGHT = {
    "ink": "#1c2430", "muted": "#5b6675", "grid": "#dfe4ea", "frame": "#a9b2bd", "paper": "#ffffff",
    "s1": "#2563c9", "s2": "#cf5a12", "s3": "#16805a", "s4": "#b8326b",
    "s5": "#7350c4", "s6": "#846800", "s7": "#0b7f93", "s8": "#6a7383",
    "f1": "#c8232c", "f2": "#e08a00", "f3": "#8a4fbf", "f4": "#1f77a8", "f5": "#6d5a3c", "f6": "#3f7d20",
}  # fmt: skip
DARK = {
    "ink": "#e6eaf0", "muted": "#a0abba", "grid": "#2b3441", "frame": "#566273", "paper": "#161c25",
    "s1": "#6ea8ff", "s2": "#ff9c5a", "s3": "#4fce9c", "s4": "#f583b0",
    "s5": "#b79cff", "s6": "#dcbc4a", "s7": "#4fc9de", "s8": "#aab4c3",
    "f1": "#ff6b72", "f2": "#ffb84d", "f3": "#c79bf2", "f4": "#62b6e6", "f5": "#bfa67c", "f6": "#8fd16a",
}  # fmt: skip
SERIES = tuple(name for name in LIGHT if name.startswith("s"))
FAULTS = tuple(name for name in LIGHT if name.startswith("f") and name != "frame")


def custom_properties(colours: dict[str, str]) -> str:
    return "".join(f"--{name}:{colour};" for name, colour in colours.items())


def by_role(declarations: str) -> str:
    """CSS declarations in which each colour of the light palette is named by its role."""
    for name, colour in LIGHT.items():
        declarations = declarations.replace(colour, f"var(--{name})")
    return declarations
