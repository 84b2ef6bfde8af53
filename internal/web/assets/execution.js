// One execution on the page: its state, its log as it comes, its result.

const $ = (id) => document.getElementById(id);
const final = (status) => ["SUCCEEDED", "FAILED", "CANCELLED"].includes(status);
const maxLines = 5000;

/** The path of the API, with a slash at its end. This file lies in docs/assets/ below it. */
export const base = new URL("../../", import.meta.url).pathname;

/** The header by which the server knows that a page of a session has made a request. */
export function fromHere() {
  const word = document.cookie.match(/(?:^|; )qhubctl_csrf=([^;]*)/)?.[1];
  return word ? { "X-CSRF-Token": word } : {};
}

let shown = ""; // the id on the page
let events;

const make = (tag, properties = {}, ...parts) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...parts);
  return element;
};

export function stateOf(status) {
  const element = make("span", { className: "state", textContent: status });
  element.dataset.state = status;
  return element;
}

/** A time of the API, which is UTC, in words of this place. */
export const local = (time) => new Date(time.replace(" ", "T") + "Z").toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" });

/** Shows an execution and follows it to its end. changed is told of its states. */
export function follow(execution, changed) {
  events?.close();
  shown = execution.id;
  $("execution").hidden = false;
  $("execution-id").textContent = shown;
  const page = document.getElementById("execution-page");
  if (page) page.href = `/executions/${shown}`;
  $("log").replaceChildren();
  $("log").classList.remove("some");
  $("log-note").hidden = false;
  for (const part of ["problem", "result-part"]) $(part).hidden = true;
  show(execution);
  events = new EventSource(`${base}${shown}/log`);
  const id = shown;
  events.addEventListener("log", (event) => id === shown && line(JSON.parse(event.data)));
  events.addEventListener("status", (event) => {
    const now = JSON.parse(event.data);
    if (now.id !== shown) return;
    show(now);
    changed(now);
    if (final(now.status)) {
      events.close();
      result(now);
    }
  });
}

export const current = () => shown;

function show(execution) {
  $("state").textContent = execution.status;
  $("state").dataset.state = execution.status;
  $("times").textContent = execution.endedAt ? `ended ${local(execution.endedAt)}` : `started ${local(execution.startedAt ?? execution.createdAt)}`;
  $("cancel").hidden = final(execution.status);
  $("cancel").disabled = false;
  $("log-note").textContent = final(execution.status) ? "Nothing was logged." : "Nothing is logged yet.";
}

function line(entry) {
  const log = $("log");
  const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
  const row = make("div", { className: "line" },
    make("time", { dateTime: entry.timestamp, textContent: new Date(entry.timestamp).toLocaleTimeString(), title: new Date(entry.timestamp).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" }) }),
    make("span", { textContent: entry.message }));
  row.dataset.severity = entry.severity;
  log.append(row);
  if (log.childElementCount > maxLines) log.firstElementChild.remove();
  log.classList.add("some");
  $("log-note").hidden = true;
  if (atEnd) log.scrollTop = log.scrollHeight;
}

// Numbers keep their digits where the browser knows how.
const exact = (_, value, context) => (typeof value === "number" && JSON.rawJSON && context?.source ? JSON.rawJSON(context.source) : value);

/** Shows what to do about a problem: the first advice whose word it has. */
function advise(problem) {
  const advices = document.querySelectorAll("#advices li");
  const place = $("problem-advice");
  if (place) place.textContent = [...advices].find((advice) => problem.includes(advice.dataset.word))?.textContent ?? "";
}

async function result(execution) {
  const response = await fetch(`${base}${execution.id}/result`, { headers: { Accept: "application/json" } });
  if (!response.ok || execution.id !== shown) return;
  const { _links: links, _embedded, ...members } = JSON.parse(await response.text(), exact);
  if (execution.status === "FAILED") {
    $("problem").hidden = false;
    $("problem-title").textContent = members.title ?? "Failed";
    $("problem-detail").textContent = members.detail ?? "";
    advise(`${members.title ?? ""} ${members.detail ?? ""}`.toLowerCase());
    for (const name of ["type", "status", "title", "detail"]) delete members[name];
  }
  const files = Object.entries(links).filter(([name]) => name !== "status");
  const some = Object.keys(members).length > 0;
  $("result-part").hidden = !some && files.length === 0 && execution.status !== "SUCCEEDED";
  $("result").hidden = !some && files.length > 0;
  $("result").textContent = some ? JSON.stringify(members, null, 2) : "It returned nothing.";
  $("files").replaceChildren(...files.map(([name, link]) => {
    const path = name.replace(/^\.\//, "");
    return make("li", {}, make("a", { href: link.href, download: path.split("/").pop(), textContent: path }));
  }));
}
