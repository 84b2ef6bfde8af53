// The pages of the console: forms that call the API, live logs, uploads, times.

const $ = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => root.querySelectorAll(selector);

/** The word that a request needs to change something. */
const csrf = () => document.cookie.match(/(?:^|; )qhubctl_csrf=([^;]*)/)?.[1] ?? "";

/** Says something in a corner of the page, until it is clicked or was there to read. */
function say(text, bad = false) {
  const place = $("#said");
  clearTimeout(say.timer);
  if (!bad) say.timer = setTimeout(() => { place.textContent = ""; }, 10_000);
  place.textContent = text;
  place.classList.toggle("bad", bad);
}

/** Asks a question; true for yes, which the button calls by what is done. */
function ask(question, yes = "Yes") {
  const dialog = $("#ask");
  $("#ask-text").textContent = question;
  $("#ask-yes").textContent = yes;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((answer) => dialog.addEventListener("close", () => answer(dialog.returnValue === "yes"), { once: true }));
}

/** What an answer that is no success says. */
async function problemOf(response) {
  try {
    const { title, detail, errors } = await response.json();
    return [detail || title, ...(errors ?? []).map((e) => `${e.location ?? e.path ?? ""} ${e.message}`)].filter(Boolean).join("\n");
  } catch {
    return `The server answered with ${response.status}.`;
  }
}

function showError(form, text) {
  const place = $(":scope > .error", form);
  if (!place) return say(text, true);
  place.textContent = text;
  place.hidden = !text;
}

/** Fills {name} in a text with the members of a document. */
const fill = (text, values, write = String) => text.replace(/\{(\w+)\}/g, (_, name) => write(values[name] ?? ""));

/** fill for addresses. */
const fillAddress = (address, values) => fill(address, values, encodeURIComponent);

/** Calls the route that a form names, with its fields as a document. */
async function act(form, submitter) {
  if (form.dataset.confirm && !(await ask(form.dataset.confirm, submitter?.textContent.trim()))) return;
  const unchosen = $("[data-needs-choice]", form);
  if (unchosen?.value === "?") {
    unchosen.focus();
    return showError(form, "Choose a service first.");
  }
  const values = {};
  for (const input of form.elements) {
    const name = input.name || input.dataset.name;
    if (name) values[name] = input.dataset.type === "number" ? Number(input.value) : secrets.get(input) ?? input.value;
  }
  if (form.dataset.known?.split(" ").includes(`${values.serviceId}/${values.name}`) && !(await ask(fill(form.dataset.knownQuestion, values), "Replace"))) return;
  const done = fill(form.dataset.done ?? "", values);
  const [method, pattern] = form.dataset.action.split(" ");
  const used = [...pattern.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
  const query = new URLSearchParams();
  for (const name of (form.dataset.query ?? "").split(" ").filter(Boolean)) {
    if (values[name]) query.set(name, values[name]);
    used.push(name);
  }
  const address = fillAddress(pattern, values) + (query.size ? `?${query}` : "");
  for (const name of used) delete values[name];
  const hasBody = method !== "DELETE" && (Object.keys(values).length > 0 || method === "POST");
  if (submitter) submitter.disabled = true;
  let response;
  try {
    response = await fetch(address, {
      method,
      headers: { Accept: "application/json", "X-CSRF-Token": csrf(), ...(hasBody ? { "Content-Type": "application/json" } : {}) },
      body: hasBody ? JSON.stringify(values) : undefined,
    });
  } catch {
    showError(form, "The server cannot be reached. Try again.");
    return;
  } finally {
    if (submitter) submitter.disabled = false;
  }
  for (const input of all("[data-secret]", form)) forget(input);
  if (response.status === 401) return location.assign(`/sign-in?lost=1&to=${encodeURIComponent(location.pathname + location.search)}`);
  if (!response.ok) return showError(form, await problemOf(response));
  showError(form, "");
  const then = form.dataset.then;
  const answer = response.status === 204 ? {} : await response.json();
  const warnings = (answer.warnings ?? []).map((warning) => `Warning: ${warning}`);
  if (done && then !== "show") sessionStorage.setItem("done", [done, ...warnings].join("\n"));
  if (then === "reload") return location.reload();
  if (then !== "show") return location.assign(fillAddress(then, answer));
  const shown = $("#shown");
  for (const place of all("[data-shown]", shown)) place.textContent = answer[place.dataset.shown] ?? "";
  shown.hidden = false;
  shown.scrollIntoView({ block: "nearest" });
}

// Secrets with line ends, which the field of a password cannot hold. The field shows dots.

const secrets = new WeakMap();

function keep(input, text, from) {
  const lines = text.split("\n").length;
  input.value = "•".repeat(12);
  secrets.set(input, text);
  $("[data-secret-note]", input.closest("[data-secret-field]")).textContent = `${lines} ${lines === 1 ? "line" : "lines"} ${from}. Type to replace them.`;
}

function forget(input) {
  input.value = "";
  secrets.delete(input);
}

for (const input of all("[data-secret]")) {
  const note = $("[data-secret-note]", input.closest("[data-secret-field]"));
  const usual = note.textContent;
  input.addEventListener("beforeinput", () => { if (secrets.has(input)) forget(input); });
  input.addEventListener("input", () => { note.textContent = usual; });
  input.addEventListener("paste", (event) => {
    const text = event.clipboardData.getData("text/plain").replace(/\r\n/g, "\n").replace(/\n$/, "");
    if (!text.includes("\n")) return;
    event.preventDefault();
    keep(input, text, "pasted");
  });
  const file = $("[data-secret-file]", input.closest("[data-secret-field]"));
  file.addEventListener("change", async () => {
    if (!file.files.length) return;
    const { name } = file.files[0];
    const bytes = await file.files[0].arrayBuffer();
    file.value = "";
    try {
      keep(input, new TextDecoder("utf-8", { fatal: true }).decode(bytes).replace(/\r?\n$/, ""), `of ${name}`);
    } catch {
      forget(input);
      showError(input.form, `${name} is not UTF-8 text. Encode it, as base64 for example, and decode it in the service.`);
    }
  });
}
addEventListener("pagehide", () => { for (const input of all("[data-secret]")) forget(input); });

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.dataset.action) return;
  event.preventDefault();
  act(form, event.submitter);
});

if ($("#said")) {
  const [done, ...warnings] = (sessionStorage.getItem("done") ?? "").split("\n");
  say(done);
  for (const warning of warnings.reverse()) { // they stay, and hide nothing
    const place = $("#warning").content.firstElementChild.cloneNode();
    place.textContent = warning;
    $("main > .title").after(place);
  }
  sessionStorage.removeItem("done");
}

document.addEventListener("change", (event) => {
  if (event.target.type === "text") return; // Enter does, as the page would lose what is typed next
  event.target.closest("form[data-submit-on-change]")?.requestSubmit();
});

$("#said")?.addEventListener("click", () => { $("#said").textContent = ""; });
document.addEventListener("click", async (event) => {
  const name = event.target.closest("[data-copy]")?.dataset.copy;
  if (!name) return;
  await navigator.clipboard.writeText($(`[data-shown=${name}]`).textContent);
  say("Copied.");
});

document.addEventListener("htmx:configRequest", (event) => { event.detail.headers["X-CSRF-Token"] = csrf(); });
document.addEventListener("htmx:beforeSwap", (event) => { // whoever reads or types is not disturbed
  if (document.hidden || event.detail.target.contains(document.activeElement) && document.activeElement !== document.body) event.detail.shouldSwap = false;
});

// Times: relative in the page, exact and in this zone as a title.

function times(root = document) {
  for (const place of all("time[title]", root)) {
    const at = new Date(place.dateTime);
    const seconds = Math.round((Date.now() - at) / 1000);
    const [n, unit] = Math.abs(seconds) < 60 ? [seconds, "second"] : Math.abs(seconds) < 3600 ? [Math.trunc(seconds / 60), "minute"]
      : Math.abs(seconds) < 172800 ? [Math.trunc(seconds / 3600), "hour"] : [Math.trunc(seconds / 86400), "day"];
    place.textContent = Math.abs(seconds) < 5 ? "just now" : new Intl.RelativeTimeFormat("en", { style: "short" }).format(-n, unit);
    place.title = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" });
  }
}
times();
setInterval(times, 10_000);
document.addEventListener("htmx:afterSettle", () => times());

// Live logs.

const levels = ["DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY"];
const maxLines = 5000;

function follow(box) {
  const log = $(".log", box), search = $("[data-log-search]", box), level = $("[data-log-level]", box), count = $("[data-log-count]", box);
  const hide = (row) => {
    const text = row.textContent.toLowerCase();
    const hidden = !text.includes(search.value.toLowerCase()) || level.value && levels.indexOf(row.dataset.severity) < levels.indexOf(level.value);
    row.toggleAttribute("data-hidden", Boolean(hidden));
    return !hidden;
  };
  const filter = () => {
    let n = 0;
    for (const row of log.children) n += hide(row);
    count.textContent = search.value || level.value ? `${n} of ${log.childElementCount} lines` : "";
  };
  search.addEventListener("input", filter);
  level.addEventListener("change", filter);
  for (const place of all(".line time", log)) place.textContent = new Date(place.dateTime).toLocaleTimeString();
  if (box.dataset.live !== "true") return;
  const events = new EventSource(box.dataset.log);
  events.addEventListener("log", (event) => {
    const entry = JSON.parse(event.data);
    const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
    const row = document.createElement("div"), time = document.createElement("time"), text = document.createElement("span");
    row.className = "line";
    row.dataset.severity = entry.severity;
    time.dateTime = entry.timestamp;
    time.textContent = new Date(entry.timestamp).toLocaleTimeString();
    text.textContent = entry.message;
    row.append(time, text);
    log.append(row);
    hide(row);
    if (log.childElementCount > maxLines) log.firstElementChild.remove();
    $("[data-log-empty]", box)?.remove();
    if (atEnd) log.scrollTop = log.scrollHeight;
  });
  const final = (status) => ["SUCCEEDED", "FAILED", "CANCELLED"].includes(status);
  events.addEventListener("status", (event) => {
    const { status } = JSON.parse(event.data);
    const place = $("[data-execution-state] .state");
    const changed = place && place.dataset.state !== status;
    if (changed) {
      place.dataset.state = status;
      place.textContent = status;
    }
    if (final(status)) {
      events.close();
      if (changed) location.reload(); // with its result
      else $("[data-log-empty]", box)?.replaceChildren("Nothing was logged.");
    }
  });
  events.addEventListener("end", () => {
    events.close();
    location.reload();
  });
}
for (const box of all("[data-log]")) follow(box);

// Uploads.

for (const form of all("[data-upload]")) {
  const send = (files) => {
    let left = files.length;
    for (const file of files) {
      const row = document.createElement("li"), bar = document.createElement("progress"), text = document.createElement("span");
      text.textContent = file.name;
      bar.setAttribute("aria-label", file.name);
      row.append(text, bar);
      $("[data-uploads]", form).append(row);
      const request = new XMLHttpRequest(); // fetch tells no progress
      request.upload.addEventListener("progress", (event) => { bar.max = event.total; bar.value = event.loaded; });
      request.addEventListener("loadend", () => {
        if (request.status >= 200 && request.status < 300) bar.value = bar.max = 1;
        else {
          let why = "the server cannot be reached";
          try { const { title, detail } = JSON.parse(request.responseText); why = detail || title; } catch { /* no problem document */ }
          showError(form, `${file.name}: ${why}`);
          row.remove();
        }
        left--;
        if (left === 0 && $(":scope > .error", form).hidden) location.reload();
      });
      request.open("POST", form.dataset.upload);
      request.setRequestHeader("Accept", "application/json");
      request.setRequestHeader("X-CSRF-Token", csrf());
      const body = new FormData();
      body.append("file", file);
      request.send(body);
    }
  };
  form.addEventListener("change", (event) => { showError(form, ""); send([...event.target.files]); });
  for (const kind of ["dragenter", "dragover"]) form.addEventListener(kind, (event) => { event.preventDefault(); form.classList.add("over"); });
  for (const kind of ["dragleave", "drop"]) form.addEventListener(kind, (event) => { event.preventDefault(); form.classList.remove("over"); });
  form.addEventListener("drop", (event) => send([...event.dataTransfer.files]));
}

// A one-time link: the code is behind #, which no server and no log sees.

const signIn = $("#sign-in");
if (signIn && location.hash.length > 1) {
  signIn.elements.code.value = location.hash.slice(1);
  signIn.elements.token.required = false;
  history.replaceState(null, "", location.pathname + location.search);
  signIn.submit();
}
