"""A run as a person sees it while it goes on: lines for logs and pipes, a moving display in a terminal.

`follow` takes an engine and shows what its runs do. `lines` prints one line for each operation that ended; `tally`
counts events and `display` draws the counts, with what runs now below them; `above` lets the program's own output pass
above the display. All of it needs the extra `cli`.
"""
