// The reference follows the colours of the system.
const dark = matchMedia("(prefers-color-scheme: dark)");
const paint = () => {
  const page = document.querySelector("rapi-doc");
  page.setAttribute("theme", dark.matches ? "dark" : "light");
  page.setAttribute("bg-color", dark.matches ? "#14151c" : "#ffffff");
  page.setAttribute("text-color", dark.matches ? "#e6e7ee" : "#1d1e27");
  page.setAttribute("primary-color", dark.matches ? "#a79bff" : "#5b4bdb");
};
dark.addEventListener("change", paint);
paint();

// Texts of the service are shown as they are: RapiDoc takes HTML in descriptions for HTML.
const escaped = (value, name) => {
  if (typeof value === "string" && ["description", "summary", "title"].includes(name)) {
    return value.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  }
  if (Array.isArray(value)) return value.map((element) => escaped(element, ""));
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, escaped(member, key)]));
  }
  return value;
};
await customElements.whenDefined("rapi-doc");
const answer = await fetch(new URL("../../openapi.json", import.meta.url));
document.querySelector("rapi-doc").loadSpec(escaped(await answer.json(), ""));
