/**
 * The form in which a person chooses what to run.
 */

let used = false; // whether a person has been here: hiding the form takes the focus away from them

/**
 * Shows the form and resolves when the person starts.
 *
 * @param {HTMLFormElement} form
 * @param {{models: string[], writers?: string[], formats: string[], workloads: string[], prompt?: string|null}} request
 *   `writers`: the models that can write a text; all of them by default, none where `prompt` is null
 * @returns {Promise<{model: string, format: string, workload: string|null, prompt: string|null}>} either a workload to
 *   measure or a prompt to continue; the other is null
 */
export function choose(form, { models, writers = models, formats, workloads, prompt = null }) {
  const able = { measure: workloads.length ? models : [], write: prompt === null ? [] : writers };
  const { mode, model, format, workload, prompt: text } = form.elements;
  const adapt = () => {
    fill(model, able[mode.value]);
    for (const field of form.querySelectorAll("[data-mode]")) {
      field.hidden = field.dataset.mode !== mode.value;
      for (const control of field.querySelectorAll("select, textarea")) control.disabled = field.hidden;
    }
  };
  fill(format, formats);
  fill(workload, workloads);
  text.value ||= prompt ?? "";
  if (!able[mode.value].length) mode.value = able.measure.length ? "measure" : "write";
  form.querySelector("fieldset").hidden = !(able.measure.length && able.write.length);
  adapt();
  form.hidden = false;
  if (used) form.querySelector("button").focus({ preventScroll: true });

  return new Promise((resolve) => {
    const listening = new AbortController();
    const on = (target, name, act) => target.addEventListener(name, act, { signal: listening.signal });
    form.querySelectorAll("[name=mode]").forEach((radio) => on(radio, "change", adapt));
    on(text, "keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      form.requestSubmit();
    });
    on(form, "submit", (event) => {
      event.preventDefault();
      listening.abort();
      used = form.hidden = true;
      const writes = mode.value === "write";
      resolve({ model: model.value, format: format.value, workload: writes ? null : workload.value, prompt: writes ? text.value : null });
    });
  });
}

/** The options of a select; what was chosen before stays chosen if it is still there. */
function fill(select, values) {
  const before = select.value;
  select.replaceChildren(...values.map((value) => new Option(value, value)));
  if (values.includes(before)) select.value = before;
}
