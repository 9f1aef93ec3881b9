/**
 * The web player without a browser: Node.js with a WebGPU implementation (Dawn, npm package "webgpu").
 *
 * Usage: node node.js PATH_OF_WEBGPU_MODULE URL_OF_THE_RUN. The module is index.js or dawn.node of the package.
 */

import { createRequire } from "node:module";
import process from "node:process";
import { runClient } from "./client.js";

const [path, base] = process.argv.slice(2);
const { create, globals } = createRequire(import.meta.url)(path);
Object.assign(globalThis, globals);
const options = (process.env.DAWN_OPTIONS ?? "").split(",").filter(Boolean);

try {
  await runClient({ base, gpu: create(options), fetch, agent: `Dawn/${process.env.DAWN_VERSION ?? "0"} Node/${process.versions.node}` });
  process.exit(0); // Dawn's threads would keep the process alive
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
