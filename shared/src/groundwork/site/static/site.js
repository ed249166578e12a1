"use strict";
(() => {
  const root = document.body.dataset.root;
  const labs = JSON.parse(document.getElementById("labs").textContent);
  const input = document.getElementById("search");
  const found = document.getElementById("found");

  const show = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    found.replaceChildren();
    found.hidden = words.length === 0;
    if (found.hidden) return;
    const hits = labs.filter((lab) => {
      const text = `${lab.name} ${lab.summary}`.toLowerCase();
      return words.every((word) => text.includes(word));
    });
    for (const lab of hits.slice(0, 12)) {
      const item = document.createElement("li");
      const link = document.createElement("a");
      link.href = root + lab.url;
      link.textContent = lab.name;
      const summary = document.createElement("small");
      summary.textContent = lab.summary;
      link.append(summary);
      item.append(link);
      found.append(item);
    }
    if (hits.length === 0) {
      const item = document.createElement("li");
      item.textContent = "No lab found";
      found.append(item);
    }
  };
  input.addEventListener("input", show);
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { input.value = ""; show(); }
    if (event.key === "Enter") { const first = found.querySelector("a"); if (first) first.click(); }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== input) { event.preventDefault(); input.focus(); }
  });
  document.addEventListener("click", (event) => {
    if (!event.target.closest(".search")) found.hidden = true;
  });

  const copy = async (text) => {
    if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  };
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", async () => {
      await copy(button.dataset.copy);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }

  const buttons = document.querySelectorAll("[data-filter]");
  for (const button of buttons) {
    button.addEventListener("click", () => {
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      for (const row of document.querySelectorAll("tr[data-state]")) {
        row.hidden = button.dataset.filter !== "all" && row.dataset.state !== button.dataset.filter;
      }
    });
  }
})();
