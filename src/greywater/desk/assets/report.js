// Keys, a filter and opening for print. The page reads well without any of it.
(() => {
  "use strict";
  const alerts = [...document.querySelectorAll("#alerts > .alert")];
  const rest = [...document.querySelectorAll("#rest tbody tr")];
  const dialog = document.getElementById("keys");
  const button = document.getElementById("keys-button");
  const filter = document.getElementById("filter");
  const visible = () => alerts.filter((alert) => !alert.hidden);

  const move = (step) => {
    const shown = visible();
    if (!shown.length) return;
    const now = shown.findIndex((alert) => alert.contains(document.activeElement));
    const next = now < 0 ? (step > 0 ? 0 : shown.length - 1) : Math.min(Math.max(now + step, 0), shown.length - 1);
    const summary = shown[next].querySelector("summary");
    summary.focus({ preventScroll: true });
    summary.scrollIntoView({ block: "nearest" });
  };

  const toggleAll = () => {
    const shown = visible();
    const open = shown.some((alert) => !alert.open);
    shown.forEach((alert) => { alert.open = open; });
  };

  const narrow = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    [...alerts, ...rest].forEach((entry) => {
      const source = entry.matches("details") ? entry.querySelector("summary") : entry;
      const more = entry.matches("details") ? entry.querySelector(".why") : null;
      const text = (source.textContent + " " + (more ? more.textContent : "")).toLowerCase();
      entry.hidden = !words.every((word) => text.includes(word));
    });
  };

  if (button) {
    button.hidden = false;
    button.addEventListener("click", () => dialog.showModal());
  }
  if (filter) {
    filter.closest("label").hidden = false;
    filter.addEventListener("input", narrow);
    filter.addEventListener("keydown", (event) => {
      if (event.key === "Escape") { filter.value = ""; narrow(); filter.blur(); }
    });
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, dialog")) return;
    const actions = {
      j: () => move(1),
      k: () => move(-1),
      o: toggleAll,
      "?": () => dialog.showModal(),
      "/": () => { if (filter) filter.focus(); },
    };
    if (Object.hasOwn(actions, event.key)) {
      event.preventDefault();
      actions[event.key]();
    }
  });

  let opened = [];
  window.addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll(".alert:not([open])")];
    opened.forEach((entry) => { entry.open = true; });
  });
  window.addEventListener("afterprint", () => {
    opened.forEach((entry) => { entry.open = false; });
    opened = [];
  });
})();
