// What the Khronos glTF validator says of a GLB file.
//
//     node khronos.mjs NODE_MODULES MODEL.glb OUT
//
// Writes OUT.json: { errors, warnings, messages }, messages being those of errors and warnings.

import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [modules, model, out] = process.argv.slice(2);
const validator = createRequire(join(modules, 'any.js'))('gltf-validator');
const { issues } = await validator.validateBytes(new Uint8Array(readFileSync(model)), { maxIssues: 1000 });
const messages = issues.messages.filter((m) => m.severity < 2).map((m) => `${m.code} ${m.pointer ?? ''}: ${m.message}`);
writeFileSync(`${out}.json`, JSON.stringify({ errors: issues.numErrors, warnings: issues.numWarnings, messages }));
