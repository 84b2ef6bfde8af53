// What is typed becomes the text of a body. Numbers and JSON go in as they are
// typed: reading them into JavaScript would lose digits.

const number = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;

/** A field that holds something no body can be made of. */
class Unreadable extends Error {
  constructor(field, message) {
    super(message);
    this.field = field;
  }
}

const control = (field) => field.querySelector("input, select, textarea");
const required = (field) => field.hasAttribute("data-required");

/** The members of an object as text, without those that are not given. */
function object(fields) {
  const members = [];
  for (const field of fields) {
    const value = read(field);
    if (value !== undefined) members.push(JSON.stringify(field.dataset.key) + ":" + value);
  }
  return members;
}

const children = (element) => element.querySelectorAll(":scope > [data-widget]");

/** The JSON text of a field, or undefined if it is not given. */
function read(field) {
  if (field.dataset.widget === "group") {
    const members = object(children(field));
    return members.length || required(field) ? "{" + members.join(",") + "}" : undefined;
  }
  const text = control(field).value;
  switch (field.dataset.widget) {
    case "checkbox":
      return String(control(field).checked);
    case "choice":
      return text === "" ? undefined : text;
    case "text":
      return text === "" && !required(field) ? undefined : JSON.stringify(text);
    case "number":
      if (text.trim() === "") return undefined;
      if (!number.test(text.trim())) throw new Unreadable(field, "is not a number");
      return text.trim();
    case "json":
      if (text.trim() === "") return undefined;
      try {
        JSON.parse(text);
      } catch {
        throw new Unreadable(field, 'is not JSON; text needs quotes: "text"');
      }
      return text;
    case "password":
      return text === "" ? undefined : JSON.stringify(secrets.get(control(field)) ?? text);
    case "pool":
      return text.trim() === "" ? undefined : JSON.stringify({ id: text.trim(), ref: "DATAPOOL" });
  }
}

/** Secrets that came from files: a field for one line would lose line ends. */
const secrets = new Map();

/** The body of the form; it throws an Unreadable. */
export function body(form) {
  const members = object([...form.querySelectorAll("[data-part=inputs], [data-part=datapools]")].flatMap((part) => [...children(part)]));
  const given = object(form.querySelectorAll("[data-part=secrets] > [data-widget]"));
  if (given.length) members.push('"$secrets":{' + given.join(",") + "}");
  const tags = form.querySelector("#tags").value.split(",").map((tag) => tag.trim()).filter(Boolean);
  if (tags.length) members.push('"$tags":' + JSON.stringify(tags));
  return "{" + members.join(",") + "}";
}

/** Forgets all secrets. */
export function forget(form) {
  secrets.clear();
  for (const input of form.querySelectorAll("[data-part=secrets] input")) input.value = "";
}

/** Lets secrets come from files. */
export function takeFiles(form) {
  for (const field of form.querySelectorAll("[data-widget=password]")) {
    const input = control(field);
    const file = field.querySelector("input[type=file]");
    file.addEventListener("change", async () => {
      if (!file.files.length) return;
      const text = (await file.files[0].text()).replace(/\r?\n$/, "");
      file.value = "";
      input.value = text; // dots, of whatever the field can hold
      secrets.set(input, text);
    });
    input.addEventListener("input", () => secrets.delete(input));
  }
}

/** Shows errors at the fields they are about, and returns the others. */
export function showErrors(form, errors) {
  clearErrors(form);
  const rest = [];
  for (const { path, message } of errors) {
    const field = closest(form, path);
    if (!field) {
      rest.push({ path, message });
      continue;
    }
    const place = field.querySelector(":scope > .error");
    const below = path === field.dataset.path ? "" : path.slice(field.dataset.path.length).replace(/^\./, "") + " ";
    place.textContent += (place.textContent ? "\n" : "") + below + message;
    place.hidden = false;
    const input = control(field);
    if (field.dataset.widget !== "group") input?.setAttribute("aria-invalid", "true");
  }
  form.querySelector("[aria-invalid]")?.focus();
  return rest;
}

/** The field for a path, or for what is around it. */
function closest(form, path) {
  for (let at = path; at; at = at.replace(/(\.[^.[\]]*|\[[^\]]*\]|^[^.[\]]+)$/, "")) {
    const field = form.querySelector(`[data-path="${CSS.escape(at)}"]`);
    if (field) return field;
    if (!/[.[]/.test(at)) return null;
  }
  return null;
}

export function clearErrors(form) {
  for (const place of form.querySelectorAll(".error")) {
    place.textContent = "";
    place.hidden = true;
  }
  for (const input of form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
}

export { Unreadable };
