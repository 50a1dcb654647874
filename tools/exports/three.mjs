// Where three.js has the vertices of a GLB file, at rest and with each morph target alone.
//
//     node three.mjs NODE_MODULES MODEL.glb OUT
//
// Writes OUT.json, a list of { node, primitive, morph, count } with morph "" for rest, and OUT.bin, the places (count, 3) of
// each in the model's metres, float32, in the same order.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [modules, model, out] = process.argv.slice(2);
const load = (path) => import(pathToFileURL(join(modules, 'three', path)));
const { Texture, Vector3 } = await load('build/three.module.js');
const { GLTFLoader } = await load('examples/jsm/loaders/GLTFLoader.js');

globalThis.self = globalThis; // the loader expects a browser
const loader = new GLTFLoader();
// Node decodes no pictures, and no vertex needs one.
loader.register(() => ({ name: 'no_pictures', loadTexture: () => Promise.resolve(new Texture()) }));
const gltf = await loader.parseAsync(new Uint8Array(readFileSync(model)).buffer, '');
gltf.scene.updateMatrixWorld(true);

const index = [];
const places = [];
const point = new Vector3();
gltf.scene.traverse((mesh) => {
    if (!mesh.isMesh) return;
    // A node with several primitives is a group of meshes.
    const known = gltf.parser.associations.get(mesh);
    const node = known.nodes ?? gltf.parser.associations.get(mesh.parent).nodes;
    const count = mesh.geometry.attributes.position.count;
    for (const morph of ['', ...Object.keys(mesh.morphTargetDictionary ?? {})]) {
        mesh.morphTargetInfluences?.fill(0);
        if (morph) mesh.morphTargetInfluences[mesh.morphTargetDictionary[morph]] = 1;
        for (let i = 0; i < count; i++) {
            places.push(...mesh.getVertexPosition(i, point).applyMatrix4(mesh.matrixWorld));
        }
        index.push({ node: gltf.parser.json.nodes[node].name, primitive: known.primitives, morph, count });
    }
});
writeFileSync(`${out}.bin`, new Float32Array(places));
writeFileSync(`${out}.json`, JSON.stringify(index));
