// The page of estimates: the calculation follows what is typed. Without a script a button does the same.
"use strict";
const WAIT_MS = 400;
const form = document.querySelector("#estimate-form");
const preview = document.querySelector("#estimate-preview");
let waiting = null;
let asked = 0;

async function workOut() {
  const mine = ++asked;
  try {
    const answer = await fetch(form.action, { method: "POST", body: new FormData(form), headers: { "X-Preview": "1" } });
    if (answer.ok && mine === asked) preview.innerHTML = await answer.text();
  } catch {
    // The portal is away for a moment; the button still works.
  }
}

form.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(() => { if (form.checkValidity()) workOut(); }, WAIT_MS);
});
