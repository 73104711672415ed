"""Starts the portal on one machine: `make run`.

Two parts. What stands between `python3` and a virtual environment (`__main__`, `install`, `console`, `ports`, `lock`)
uses the standard library alone. The rest runs on the packages that were installed.
"""
