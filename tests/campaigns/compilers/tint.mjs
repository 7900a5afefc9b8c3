// Compiles WGSL by Tint, the compiler of Chromium: node tint.mjs FOLDER, where each NAME.wgsl has its constants in
// NAME.constants (JSON). Prints a line for each: its name, and `ok` or what the compiler says.
import { readdirSync, readFileSync } from "node:fs";
import { create, globals } from "webgpu";

Object.assign(globalThis, globals);
const folder = process.argv[2];
// Kept alive: what comes of it does not.
const gpu = create(["engine=null"]);
globalThis.gpu = gpu;
const adapter = await gpu.requestAdapter();
const device = await adapter.requestDevice();
let failed = 0;
for (const file of readdirSync(folder).filter((name) => name.endsWith(".wgsl")).sort()) {
  const name = file.slice(0, -5);
  const constants = JSON.parse(readFileSync(`${folder}/${name}.constants`, "utf8"));
  const code = readFileSync(`${folder}/${file}`, "utf8");
  try {
    const module = device.createShaderModule({ code });
    await device.createComputePipelineAsync({ layout: "auto", compute: { module, entryPoint: "main", constants } });
    console.log(`${name} ok`);
  } catch (error) {
    failed += 1;
    console.log(`${name} ${String(error.message).split("\n")[0]}`);
  }
}
process.exit(failed > 0 ? 1 : 0);
