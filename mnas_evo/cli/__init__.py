"""The command line: one function a command, no logic that the library lacks."""
