"""Pictures of graphs: what is shown (`picture`), in which boxes (`collapse`), where (`layout`), and in which language."""
