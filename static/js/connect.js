// The Connect page: tabs for the snippets, and a look every two seconds whether the first reading is there.
"use strict";
const LOOK_EVERY_MS = 2000;

function makeTabs(root) {
  const list = root.querySelector("[role=tablist]");
  const panels = [...root.querySelectorAll("[data-tab]")];
  const tabs = panels.map((panel) => {
    const tab = document.createElement("button");
    tab.type = "button";
    tab.id = `tab-${panel.id}`;
    tab.textContent = panel.dataset.tab;
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", panel.id);
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", tab.id);
    panel.querySelector("h3").hidden = true;
    list.append(tab);
    return tab;
  });
  function choose(chosen, focus) {
    tabs.forEach((tab, i) => {
      tab.setAttribute("aria-selected", String(i === chosen));
      tab.tabIndex = i === chosen ? 0 : -1;
      panels[i].hidden = i !== chosen;
    });
    if (focus) tabs[chosen].focus();
  }
  tabs.forEach((tab, i) => {
    tab.addEventListener("click", () => choose(i, false));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step) choose((i + step + tabs.length) % tabs.length, true);
    });
  });
  list.hidden = false;
  choose(0, false);
}

function watch(panel) {
  // A reload must not send the form again, and the key must not stay in the history.
  history.replaceState(null, "", panel.dataset.watchUrl);
  let shown = null;
  async function look() {
    if (!document.hidden) {
      try {
        const answer = await fetch(panel.dataset.statusUrl, { headers: { Accept: "application/json" } });
        if (answer.ok) {
          const status = await answer.json();
          if (status.html !== shown) {
            panel.innerHTML = status.html;
            shown = status.html;
          }
          if (status.state === "settled") return;
        }
      } catch {
        // The portal is away for a moment; the next look will tell.
      }
    }
    setTimeout(look, LOOK_EVERY_MS);
  }
  if (!("finished" in panel.dataset)) setTimeout(look, LOOK_EVERY_MS);
}

makeTabs(document.querySelector("#snippets"));
watch(document.querySelector("#first-reading"));
