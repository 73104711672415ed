"""The demonstration: a world that is made by the same actions, and brought up the same way, as a real one."""
