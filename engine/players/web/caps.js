/**
 * Opens a GPU and tells what it can do, in the words of `tritmark.engine.plan.Caps`.
 */

const FEATURES = ["timestamp-query", "shader-f16", "subgroups"];
const LANGUAGE_FEATURES = ["packed_4x8_integer_dot_product"];
const LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxUniformBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupsPerDimension",
  "minStorageBufferOffsetAlignment",
  "minUniformBufferOffsetAlignment",
  "maxBindGroups",
];
const SOFTWARE = /swiftshader|llvmpipe|softpipe|basic render/i;
const SHARED_MEMORY = /apple|qualcomm|arm|img-tec|samsung|broadcom|intel/i;

/**
 * The device with everything its adapter offers, and its Caps. `agent` is the browser's user agent.
 *
 * Rejects with one line where there is no WebGPU or no adapter.
 */
export async function openGpu(gpu, agent = "") {
  if (!gpu) {
    throw new Error("this browser has no WebGPU here; it needs Chrome 121 on Android 12, Safari on iOS 26, and https or localhost");
  }
  const adapter = await findAdapter(gpu);
  if (!adapter) {
    throw new Error("the browser has WebGPU but found no adapter; its GPU or driver is blocked (see chrome://gpu)");
  }
  const device = await adapter.requestDevice({
    requiredFeatures: FEATURES.filter((name) => adapter.features.has(name)),
    requiredLimits: Object.fromEntries(LIMITS.filter((name) => name in adapter.limits).map((name) => [name, adapter.limits[name]])),
  });
  return { device, caps: describe(gpu, adapter, device, agent) };
}

/** The fastest adapter; one for older graphics interfaces ("compatibility") where there is no other. */
async function findAdapter(gpu) {
  const best = await gpu.requestAdapter({ powerPreference: "high-performance" });
  return best ?? gpu.requestAdapter({ featureLevel: "compatibility" });
}

function describe(gpu, adapter, device, agent) {
  const info = adapter.info ?? {};
  const told = [info.device, info.description].find((text) => text && !/^0x/i.test(text)); // some give a number in place of a name
  const name = told || [info.vendor, info.architecture].filter(Boolean).join(" ") || "unnamed adapter";
  return {
    adapter: name,
    backend: info.backend ? `WebGPU on ${info.backend}` : "WebGPU",
    kind: kindOf(info, name, adapter.isFallbackAdapter ?? false),
    driver: [browserOf(agent), info.driver, info.description !== told && info.description].filter(Boolean).join(", ") || "unknown",
    dialect: dialectOf(agent),
    features: FEATURES.filter((feature) => device.features.has(feature)).sort(),
    language_features: LANGUAGE_FEATURES.filter((feature) => gpu.wgslLanguageFeatures?.has(feature)),
    limits: Object.fromEntries(LIMITS.filter((limit) => limit in device.limits).map((limit) => [limit, device.limits[limit]])),
  };
}

/** "cpu", "integrated", "discrete" or "unknown": browsers hide most of it. */
function kindOf(info, name, isFallback) {
  if (info.isFallbackAdapter || isFallback || SOFTWARE.test(`${name} ${info.architecture}`)) return "cpu";
  if (/nvidia/i.test(info.vendor)) return "discrete";
  return SHARED_MEMORY.test(info.vendor) ? "integrated" : "unknown";
}

/** The WGSL front end that a browser brings. */
function dialectOf(agent) {
  if (/firefox/i.test(agent)) return "naga";
  return /applewebkit/i.test(agent) && !/chrom/i.test(agent) ? "webkit" : "tint";
}

function browserOf(agent) {
  const known = /(Edg|OPR|SamsungBrowser|HeadlessChrome|Chrome|Firefox|Dawn)\/[\d.]+/.exec(agent);
  const safari = /Version\/([\d.]+).*Safari/.exec(agent);
  return known ? known[0].replace("/", " ") : safari ? `Safari ${safari[1]}` : "";
}
