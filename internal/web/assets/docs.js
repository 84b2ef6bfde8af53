// The page: the form on one side, an execution on the other.

import { Unreadable, body, clearErrors, forget, showErrors, takeFiles } from "./form.js";
import { base, current, follow, local, stateOf, fromHere } from "./execution.js";

const $ = (id) => document.getElementById(id);
const form = $("form");
const json = { Accept: "application/json" };
const inConsole = $("execution-page") !== null;

const problem = async (response) => {
  try {
    return await response.json();
  } catch {
    return { title: `The server answered ${response.status}.` };
  }
};

function refuse(text) {
  $("refused").textContent = text;
  $("refused").hidden = !text;
}

/** Says that the session of the console has ended, and leads back here from the sign-in. */
function askToSignIn() {
  refuse("You are signed out, and nothing was started. ");
  const link = document.createElement("a");
  link.href = `/sign-in?to=${encodeURIComponent(location.pathname)}`;
  link.textContent = "Sign in again";
  $("refused").append(link);
}

async function start() {
  clearErrors(form);
  refuse("");
  let text;
  try {
    text = body(form);
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error;
    showErrors(form, [{ path: error.field.dataset.path, message: error.message }]);
    return;
  }
  const response = await fetch(base, { method: "POST", headers: { ...json, ...fromHere(), ...(inConsole ? { "X-Store-Input": "true" } : {}), "Content-Type": "application/json" }, body: text });
  if (response.status === 401 && inConsole) return askToSignIn();
  if (response.status !== 201) {
    const { title, detail, errors = [] } = await problem(response);
    const rest = showErrors(form, errors);
    if (rest.length || !errors.length) {
      refuse([detail ?? title, ...rest.map(({ path, message }) => (path ? `${path}: ${message}` : message))].join("\n"));
    }
    return;
  }
  forget(form);
  open(await response.json());
  $("execution").focus({ preventScroll: true });
  $("execution").scrollIntoView({ block: "nearest", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
}

function open(execution) {
  history.replaceState(null, "", "#" + execution.id);
  follow(execution, list);
  list();
}

async function openId(id) {
  const response = await fetch(`${base}${encodeURIComponent(id)}`, { headers: json });
  if (response.ok) open(await response.json());
}

async function list() {
  const response = await fetch(`${base}?limit=8`, { headers: json });
  if (!response.ok) return;
  $("recent").replaceChildren(...(await response.json()).map((execution) => {
    const button = document.createElement("button");
    button.type = "button";
    if (execution.id === current()) button.setAttribute("aria-current", "true");
    const name = document.createElement("code");
    name.textContent = execution.id.slice(-12);
    const tags = document.createElement("span");
    tags.className = "quiet";
    tags.textContent = execution.tags.join(", ");
    const when = document.createElement("span");
    when.className = "quiet when";
    when.textContent = local(execution.createdAt);
    button.append(stateOf(execution.status), name, tags, when);
    button.addEventListener("click", () => openId(execution.id));
    const item = document.createElement("li");
    item.append(button);
    return item;
  }));
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  $("start").disabled = true;
  try {
    await start();
  } catch {
    refuse("The server cannot be reached.");
  } finally {
    $("start").disabled = false;
  }
});
$("cancel").addEventListener("click", async () => {
  $("cancel").disabled = true;
  await fetch(`${base}${current()}/cancel`, { method: "PUT", headers: fromHere() });
});
// A page that is left and shown again by "back" has no secrets any more.
addEventListener("pagehide", () => forget(form));
takeFiles(form);
list();
if (location.hash.length > 1) openId(location.hash.slice(1));
