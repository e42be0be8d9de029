"""Pictures of graphs: what is shown, in which boxes, where these lie, and in which language it is written."""
