"""The engines that are measured, each in a module of its own that imports its library when it is asked to."""
