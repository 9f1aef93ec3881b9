/**
 * Reads a Plan as `tritmark.engine.plan` writes it. The shapes are those of its `to_json`.
 */

export const PLAN_FORMAT = 1;
export const STEP_STRIDE_BYTES = 256; // one row of the step table

/** Throws one line for a Plan that this player or this device cannot play. */
export function checkPlan(plan, caps) {
  if (plan.format !== PLAN_FORMAT) {
    throw new Error(`plan format ${plan.format} is not ${PLAN_FORMAT}; use the same tritmark on both sides`);
  }
  const offered = new Set([...caps.features, ...caps.language_features]);
  const missing = plan.features.find((feature) => !offered.has(feature));
  if (missing) throw new Error(`${caps.adapter} lacks the feature ${missing} that the plan requires`);
}

/** The step table as one uniform buffer's bytes: row i at i * STEP_STRIDE_BYTES. */
export function stepTable(plan) {
  const words = new Uint32Array(Math.max(1, plan.steps.length) * STEP_STRIDE_BYTES / 4);
  plan.steps.forEach(([, ...values], at) => words.set(values, at * STEP_STRIDE_BYTES / 4));
  return words;
}

/** Initial bytes of a slot with inline content, padded to whole words. */
export function inlineBytes(slot) {
  const text = atob(slot.inline);
  const bytes = new Uint8Array(Math.ceil(text.length / 4) * 4);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** Tokens that a step is about: its column `count`, or 1 where a Plan has none. */
export function tokensOf(plan, step) {
  const at = plan.columns.indexOf("count");
  return at < 0 ? 1 : plan.steps[step][1 + at];
}
