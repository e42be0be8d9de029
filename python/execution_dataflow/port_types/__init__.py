"""What a port may declare besides a class: type hints of every form, and specs of arrays and tables."""
