/**
 * Pipelines and bind groups of a Plan's programs, made once; a step then only encodes.
 */

import { STEP_STRIDE_BYTES } from "./plan.js";
import { oneLine } from "./watch.js";

const KINDS = { uniform: "uniform", read: "read-only-storage", read_write: "storage" };

/**
 * Program name -> launches {pipeline, group, grid, label}. A grid entry is a number, or -1 - column of the step table.
 *
 * Pipelines are compiled side by side; `progress(done, total)` after each. Rejects with the compiler's words on one line.
 */
export async function buildPrograms(device, plan, buffers, steps, progress) {
  const pipelines = await compileAll(device, plan, progress);
  const groups = new Map();
  const launch = (dispatch) => {
    const { layout, pipeline } = pipelines.get(dispatch.module);
    const key = dispatch.module + JSON.stringify(dispatch.bindings);
    if (!groups.has(key)) groups.set(key, bind(device, layout, dispatch, buffers, steps));
    const grid = dispatch.grid.map((side) => (typeof side === "number" ? side : -1 - plan.columns.indexOf(side)));
    return { pipeline, group: groups.get(key), grid, label: dispatch.label };
  };
  return new Map(Object.entries(plan.programs).map(([name, dispatches]) => [name, dispatches.map(launch)]));
}

async function compileAll(device, plan, progress) {
  const first = new Map(); // module -> the first dispatch that uses it, whose bindings give the layout
  for (const dispatch of Object.values(plan.programs).flat()) {
    if (!first.has(dispatch.module)) first.set(dispatch.module, dispatch);
  }
  let done = 0;
  const compiled = [...first].map(async ([module, dispatch]) => {
    const made = await compile(device, plan.modules[module], dispatch);
    progress(++done, first.size);
    return [module, made];
  });
  return new Map(await Promise.all(compiled));
}

async function compile(device, code, dispatch) {
  const layout = device.createBindGroupLayout({
    entries: [
      { binding: 0, visibility: GPUShaderStage.COMPUTE, buffer: { type: "uniform", hasDynamicOffset: true } },
      ...dispatch.bindings.map((part, at) => ({ binding: at + 1, visibility: GPUShaderStage.COMPUTE, buffer: { type: KINDS[part.access] } })),
    ],
  });
  device.pushErrorScope("validation"); // what createShaderModule says comes again, with a line number, below
  const module = device.createShaderModule({ label: dispatch.label, code });
  device.popErrorScope();
  try {
    const pipeline = await device.createComputePipelineAsync({
      label: dispatch.label,
      layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: "main" },
    });
    return { layout, pipeline };
  } catch (error) {
    const { messages } = await module.getCompilationInfo();
    const said = messages.find((message) => message.type === "error");
    const why = said ? `line ${said.lineNum}: ${said.message}` : error.message;
    throw new Error(`${dispatch.label} does not compile: ${oneLine(why)}`);
  }
}

function bind(device, layout, dispatch, buffers, steps) {
  const part = ({ slot, offset, bytes }) => ({ buffer: buffers.get(slot), offset, size: bytes });
  return device.createBindGroup({
    layout,
    entries: [
      { binding: 0, resource: { buffer: steps, offset: 0, size: STEP_STRIDE_BYTES } },
      ...dispatch.bindings.map((binding, at) => ({ binding: at + 1, resource: part(binding) })),
    ],
  });
}
