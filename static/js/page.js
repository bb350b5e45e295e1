// What every page uses: copy buttons. Everything else works without a script.
"use strict";
for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  const words = button.textContent;
  button.addEventListener("click", async () => {
    const target = button.dataset.copy
      ? document.querySelector(button.dataset.copy)
      : button.closest(".code")?.querySelector("pre, code") ?? button.closest("pre");
    const text = target ? (target.value ?? target.textContent).trim() : "";
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      const range = document.createRange();
      range.selectNodeContents(target);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      button.textContent = "Press Ctrl+C";
    }
    setTimeout(() => { button.textContent = words; }, 2000);
  });
}
// What does not scroll needs no stop of the Tab key.
for (const wrap of document.querySelectorAll(".table-wrap[tabindex]")) {
  if (wrap.clientWidth && wrap.scrollWidth <= wrap.clientWidth) wrap.removeAttribute("tabindex");
}
// The rail is longer than a small window: the present page stands in it where it is seen.
const here = document.querySelector(".rail a[aria-current]");
if (here) {
  const rail = here.closest(".rail"), foot = rail.querySelector(".foot");
  const below = here.getBoundingClientRect().bottom - foot.getBoundingClientRect().top;
  if (below > 0) rail.scrollTop += below + rail.clientHeight / 4;
}
// A filter that chooses nothing does not stand in the address.
for (const form of document.querySelectorAll("form.filters")) {
  form.addEventListener("formdata", (event) => {
    const data = event.formData;
    const dates = data.get("from") || data.get("to");
    const unwanted = dates && data.get("period") === data.get("shown") ? ["period"] : ["from", "to"];
    for (const name of [...unwanted, "shown"]) data.delete(name);
    for (const [name, value] of [...data]) if (value === "") data.delete(name);
  });
}
for (const field of document.querySelectorAll("[data-autosubmit]")) {
  field.addEventListener("change", () => field.form.requestSubmit());
}
