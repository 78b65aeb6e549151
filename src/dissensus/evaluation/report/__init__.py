"""An evaluation as a person reads it: the HTML page, its sentences, tables and pictures."""
