"""Rig controls and synthetic people to pixels. Modules are imported by name: raster, glb, heads, portrait, gl."""
