"""Where Blender has the vertices of a GLB file, at rest and with each shape key alone. Runs in a Python that has ``bpy``.

    python blender.py MODEL.glb OUT

Writes the same two files as three.mjs beside it; there is one entry for all primitives of a node (primitive -1), and vertices
that no triangle uses are missing, since Blender's importer drops them.
"""

import json
import os
import sys
from pathlib import Path

import bpy  # type: ignore[import-not-found]
import numpy as np

model, out = sys.argv[1], Path(sys.argv[2])
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.ops.import_scene.gltf(filepath=model, merge_vertices=False)
index, places = [], []
for thing in [o for o in bpy.context.scene.objects if o.type == "MESH"]:
    keys = list(thing.data.shape_keys.key_blocks[1:]) if thing.data.shape_keys else []
    for shown in [None, *keys]:
        for key in keys:
            key.value = float(key == shown)
        seen = thing.evaluated_get(bpy.context.evaluated_depsgraph_get())
        flat = np.zeros(3 * len(seen.data.vertices), np.float32)
        seen.data.vertices.foreach_get("co", flat)
        matrix = np.array(seen.matrix_world)
        x, y, z = (flat.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3]).T
        # Blender's Z points up, glTF's Y.
        places.append(np.stack([x, z, -y], axis=1).astype("<f4"))
        index.append({"node": thing.name, "primitive": -1, "morph": shown.name if shown else "", "count": len(places[-1])})
out.with_suffix(".bin").write_bytes(np.concatenate(places).tobytes())
out.with_suffix(".json").write_text(json.dumps(index))
# Blender as a module may crash while Python takes it down.
os._exit(0)
