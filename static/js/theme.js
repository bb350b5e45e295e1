// Runs before the first paint: the scheme a person chose stands over the one of their system.
"use strict";
(() => {
  const root = document.documentElement;
  let chosen = null;
  try {
    chosen = localStorage.getItem("scheme");
  } catch {
    // storage may be forbidden; then the system's scheme holds
  }
  if (chosen === "light" || chosen === "dark") root.dataset.scheme = chosen;
  root.classList.add("js");

  const isDark = () =>
    root.dataset.scheme ? root.dataset.scheme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;

  addEventListener("DOMContentLoaded", () => {
    const label = () => {
      for (const button of document.querySelectorAll("[data-scheme-switch]")) {
        button.hidden = false;
        button.textContent = isDark() ? "Light scheme" : "Dark scheme";
      }
    };
    label();
    for (const button of document.querySelectorAll("[data-scheme-switch]")) {
      button.addEventListener("click", () => {
        root.dataset.scheme = isDark() ? "light" : "dark";
        try {
          localStorage.setItem("scheme", root.dataset.scheme);
        } catch {
          // holds for this page only
        }
        label();
        dispatchEvent(new CustomEvent("schemechange"));
      });
    }
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      label();
      dispatchEvent(new CustomEvent("schemechange"));
    });
  });
})();
