// Progress of documents that are being made: asks every second, and shows the page anew when one is done.
for (const place of document.querySelectorAll("[data-progress]")) {
  const step = place.querySelector("[data-step]");
  const bar = place.querySelector("progress");
  const look = async () => {
    try {
      const answer = await fetch(place.dataset.progress, { headers: { Accept: "application/json" } });
      if (answer.ok) {
        const now = await answer.json();
        if (now.state === "ready" || now.state === "failed") {
          location.reload();
          return;
        }
        if (step.textContent !== now.step) step.textContent = now.step;
        bar.value = now.progress_percent;
      }
    } catch {
      // The network or the portal is away for a moment; the next look tries again.
    }
    setTimeout(look, 1000);
  };
  setTimeout(look, 1000);
}
