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
